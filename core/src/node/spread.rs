//! How new events spread: whole to a few links, announced to the others, and asked for where they were announced.
//!
//! An event that went whole to every link would reach everybody as often as they have links; announcements alone would
//! take three times as long. So whoever has it from its author sends it to all links, and others to [`EAGER`] of those
//! that do not have it, on which an announcement would take longest: there it costs a round trip more before the event
//! itself. Who had heard of it before it came is behind the wave, as most links then are, and only announces it.
//! Should the eager links break, the announcements still reach everybody.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nostr::prelude::{Event, EventId};
use rand::seq::SliceRandom;

use super::Node;
use super::links::Link;
use super::verify::Source;
use crate::store::{Put, Store, StoreError};
use crate::sync::session::MAX_ANNOUNCED;
use crate::time::Millis;
use crate::transport::LinkId;

/// Of the links that want an event and do not have it, one in so many gets it whole.
const EAGER: usize = 2;
/// Older events are history that somebody brings along: they are announced when it has arrived, not sent on.
const FRESH: Duration = Duration::from_secs(600);
/// Events asked for after announcements and not here yet. Past it announcements are not heard: reconciliation finds
/// what they were about.
const MAX_ASKED: usize = 4_096;
/// Other links remembered as having what was asked for.
const MAX_HOLDERS: usize = 4;
/// How long an announced event may take before somebody else is asked for it.
const ASK_LIMIT: Duration = Duration::from_secs(3);
/// How long announcing history waits for the end of fetching it.
const HISTORY_DELAY: Duration = Duration::from_secs(30);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Spread {
    asked: BTreeMap<EventId, Asked>,
    history: VecDeque<(EventId, Option<Source>)>,
    /// Since when history waits to be announced.
    waiting: Option<Millis>,
    /// There is more of it than is worth announcing.
    much: bool,
}

#[derive(Debug)]
struct Asked {
    of: LinkId,
    since: Millis,
    holders: Vec<LinkId>,
}

impl<S: Store> Node<S> {
    /// Passes on what was stored, and forgets that it was asked for.
    pub(super) fn spread(
        &mut self,
        events: &[Event],
        outcomes: &[Put],
        origin: impl Fn(usize) -> Option<Source>,
        now: Millis,
    ) {
        for (n, (event, outcome)) in events.iter().zip(outcomes).enumerate() {
            // What is refused may be a forgery of what was asked for: then somebody else has the true one.
            let announced =
                !matches!(outcome, Put::Invalid(_)) && self.spread.asked.remove(&event.id).is_some();
            if *outcome != Put::Stored {
                continue;
            }
            self.forward_to_clients(event);
            if now.since(Millis(event.created_at.as_secs().saturating_mul(1_000))) < FRESH {
                self.pass_on(event, origin(n), announced);
            } else {
                self.spread.waiting.get_or_insert(now);
                if self.spread.history.len() < MAX_ANNOUNCED {
                    self.spread.history.push_back((event.id, origin(n)));
                } else {
                    self.spread.much = true;
                }
            }
        }
    }

    /// More came at once than is worth announcing one by one.
    pub(super) fn much_came(&mut self, now: Millis) {
        self.spread.waiting.get_or_insert(now);
        self.spread.much = true;
    }

    fn pass_on(&mut self, event: &Event, origin: Option<Source>, announced: bool) {
        let mut wanting: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(id, link)| {
                Some(Source::Link(**id)) != origin
                    && link.session.as_ref().is_some_and(|session| session.wants(event))
            })
            .map(|(id, _)| *id)
            .collect();
        // Of those that are as far, any.
        wanting.shuffle(&mut self.rng);
        wanting.sort_by_key(|id| Reverse(self.links[id].rtt.unwrap_or(Duration::MAX)));
        let from_author = match origin {
            // Nobody else has it from there.
            None | Some(Source::Client(_)) => true,
            Some(Source::Link(id)) => {
                let link = self.links.get(&id);
                link.is_some_and(|link| link.person == Some(event.pubkey))
            }
        };
        let eager = if from_author {
            wanting.len()
        } else if announced {
            0
        } else {
            wanting.len().div_ceil(EAGER)
        };
        for (place, id) in wanting.into_iter().enumerate() {
            if let Some(session) = self.links.get_mut(&id).and_then(Link::session_mut) {
                if place < eager {
                    session.forward(event);
                } else {
                    session.announce(event);
                }
            }
        }
    }

    /// A peer announced events that are not here: asks it, unless somebody else is being asked.
    pub(super) fn announced(&mut self, link: LinkId, ids: Vec<EventId>, now: Millis) {
        let mut ask = Vec::new();
        for id in ids {
            if let Some(asked) = self.spread.asked.get_mut(&id) {
                if asked.of != link && asked.holders.len() < MAX_HOLDERS {
                    asked.holders.push(link);
                }
            } else if self.spread.asked.len() < MAX_ASKED {
                let asked = Asked {
                    of: link,
                    since: now,
                    holders: Vec::new(),
                };
                self.spread.asked.insert(id, asked);
                ask.push(id);
            }
        }
        self.ask(link, ask);
    }

    /// Asks the next one that announced these events.
    pub(super) fn ask_others(&mut self, of: LinkId, ids: Vec<EventId>, now: Millis) {
        for id in ids {
            let Some(asked) = self.spread.asked.get_mut(&id).filter(|asked| asked.of == of) else {
                continue;
            };
            let links = &self.links;
            asked.holders.retain(|link| links.contains_key(link));
            if asked.holders.is_empty() {
                self.spread.asked.remove(&id);
            } else {
                let next = asked.holders.remove(0);
                (asked.of, asked.since) = (next, now);
                self.ask(next, vec![id]);
            }
        }
    }

    fn ask(&mut self, link: LinkId, ids: Vec<EventId>) {
        if let Some(session) = self.links.get_mut(&link).and_then(Link::session_mut) {
            session.ask(ids);
        }
    }

    /// A link is gone, and with it what it was asked for.
    pub(super) fn ask_others_than(&mut self, link: LinkId, now: Millis) {
        let orphaned = self.spread.asked.iter().filter(|(_, asked)| asked.of == link);
        let orphaned: Vec<EventId> = orphaned.map(|(id, _)| *id).collect();
        self.ask_others(link, orphaned, now);
    }

    /// Time has passed: asks somebody else for what takes too long, and announces history that has arrived.
    pub(super) fn tend_spread(&mut self, now: Millis) -> Result<(), StoreError> {
        let late = self.spread.asked.iter();
        let late = late.filter(|(_, asked)| now.since(asked.since) >= ASK_LIMIT);
        for (id, of) in late.map(|(id, asked)| (*id, asked.of)).collect::<Vec<_>>() {
            self.ask_others(of, vec![id], now);
        }
        let Some(since) = self.spread.waiting else {
            return Ok(());
        };
        let fetching = |link: &Link| {
            link.session
                .as_ref()
                .is_some_and(crate::sync::Session::is_syncing)
        };
        if self.links.values().any(fetching) && now.since(since) < HISTORY_DELAY {
            return Ok(());
        }
        self.spread.waiting = None;
        let history = std::mem::take(&mut self.spread.history);
        if std::mem::take(&mut self.spread.much) {
            for session in self.links.values_mut().filter_map(Link::session_mut) {
                session.hint();
            }
            return Ok(());
        }
        for (id, origin) in history {
            // It may have been deleted while it waited.
            let Some(event) = self.store.event(&id)? else {
                continue;
            };
            for (link, state) in &mut self.links {
                if let Some(session) = state
                    .session_mut()
                    .filter(|_| Some(Source::Link(*link)) != origin)
                {
                    session.announce(&event);
                }
            }
        }
        Ok(())
    }
}
