//! Finding friends: one rendezvous topic per pair of friends and day, which only the two can name.
//!
//! Whoever comes into the topic second is told who is there and connects. Own devices find each other the same way.
//! The server learns that two sessions share a topic, and nothing about who is behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nostr::nips::nip44::v2::ConversationKey;
use nostr::prelude::{Keys, PublicKey};

use super::Node;
use crate::signaling::{ClientMessage, MAX_TOPICS, Topic};
use crate::social::Ring;
use crate::store::{Store, StoreError};
use crate::time::Millis;

/// Friends whose topics a peer is in at once, itself counted. Around midnight each has two; the rest of what the server
/// allows is for the lobby and for rooms.
const MAX_AT_ONCE: usize = 24;
const _: () = assert!(2 * MAX_AT_ONCE < MAX_TOPICS);
/// How long those stay whose turn it is, where friends are more.
const TURN: Duration = Duration::from_secs(300);
/// Between two questions who is in the topic of a friend who is not connected.
const ASK_AGAIN: Duration = Duration::from_secs(120);
/// Between two looks for friends after follow lists have changed.
const LOOK: Duration = Duration::from_secs(10);
/// Friends who are looked for.
const MAX_FRIENDS: usize = 2_000;
const DAY: u64 = 24 * 3_600 * 1_000;
/// How long before and after midnight both days' topics are used: as much as clocks differ, and more.
const TURN_OF_DAY: u64 = 3_600 * 1_000;

/// Friends, and the topics in which they are awaited.
#[derive(Debug, Default)]
pub(super) struct Friends {
    people: BTreeSet<PublicKey>,
    /// A follow list has changed since friends were looked for.
    pub(super) changed: bool,
    looked: Option<Millis>,
    joined: BTreeMap<Topic, Joined>,
}

#[derive(Debug)]
struct Joined {
    friend: PublicKey,
    day: u64,
    asked: Millis,
}

impl Friends {
    /// The topics that this peer is in, on every server.
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.joined.keys().cloned().collect()
    }

    /// The identity is new.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn ring(&self, person: &PublicKey, me: Option<&Keys>) -> Ring {
        if me.is_some_and(|me| me.public_key() == *person) {
            Ring::Me
        } else if self.people.contains(person) {
            Ring::Friend
        } else {
            Ring::Stranger
        }
    }

    /// Whose turn it is.
    fn awaited(&self, me: PublicKey, now: Millis) -> Vec<PublicKey> {
        let others = MAX_AT_ONCE - 1;
        let turns = self.people.len().div_ceil(others).max(1);
        // By the clock, so that two friends who both have many are in their common topic at the same time now and then.
        let turn = usize::try_from(u128::from(now.0) / TURN.as_millis()).unwrap_or_default() % turns;
        let from = turn * others;
        let whose = self.people.iter().skip(from).take(others);
        [me].into_iter().chain(whose.copied()).collect()
    }
}

/// The topic of two people on a day, the same for both.
fn topic(me: &Keys, friend: &PublicKey, day: u64) -> Option<Topic> {
    let secret = ConversationKey::derive(me.secret_key(), friend).ok()?;
    let day = day.to_be_bytes();
    Some(Topic::derive(
        &[b"sazanami friends v1".as_slice(), secret.as_bytes(), &day].concat(),
    ))
}

impl<S: Store> Node<S> {
    /// Joins the topics of those whose turn it is, and leaves the others.
    pub(super) fn tend_topics(&mut self, now: Millis) {
        let Some(me) = self.me.clone() else {
            return;
        };
        if let Err(error) = self.look_for_friends(now) {
            tracing::error!(%error, "the store failed");
        }
        let time = self.network_time(now);
        let day = time.0 / DAY;
        let mut days = BTreeSet::from([day]);
        days.insert(time.0.saturating_sub(TURN_OF_DAY) / DAY);
        days.insert((time.0 + TURN_OF_DAY) / DAY);
        let awaited = self.friends.awaited(me.public_key(), time);
        let connected: BTreeSet<PublicKey> = self.links.values().filter_map(|link| link.person).collect();

        let over: Vec<Topic> = self
            .friends
            .joined
            .iter()
            .filter(|(_, joined)| !days.contains(&joined.day) || !awaited.contains(&joined.friend))
            .map(|(topic, _)| topic.clone())
            .collect();
        for topic in over {
            self.friends.joined.remove(&topic);
            self.tell_servers(&ClientMessage::Leave { topic });
        }
        let mut joins = Vec::new();
        for (topic, joined) in &mut self.friends.joined {
            if now.since(joined.asked) >= ASK_AGAIN && !connected.contains(&joined.friend) {
                joined.asked = now;
                joins.push(topic.clone());
            }
        }
        let known: BTreeSet<(PublicKey, u64)> = self
            .friends
            .joined
            .values()
            .map(|joined| (joined.friend, joined.day))
            .collect();
        for friend in awaited {
            for day in &days {
                if known.contains(&(friend, *day)) {
                    continue;
                }
                if let Some(topic) = topic(&me, &friend, *day) {
                    let joined = Joined {
                        friend,
                        day: *day,
                        asked: now,
                    };
                    self.friends.joined.insert(topic.clone(), joined);
                    joins.push(topic);
                }
            }
        }
        for topic in joins {
            self.tell_servers(&ClientMessage::Join { topic });
        }
    }

    /// How near those are who can name a topic; `None` when this peer is not in it.
    pub(super) fn ring_of_topic(&self, topic: &Topic) -> Option<Ring> {
        let joined = self.friends.joined.get(topic)?;
        Some(self.friends.ring(&joined.friend, self.me.as_ref()))
    }

    fn look_for_friends(&mut self, now: Millis) -> Result<(), StoreError> {
        let due = match self.friends.looked {
            None => true,
            Some(at) => self.friends.changed && now.since(at) >= LOOK,
        };
        if !due {
            return Ok(());
        }
        self.friends.looked = Some(now);
        self.friends.changed = false;
        let friends = self.store.people_of(Ring::Friend, MAX_FRIENDS)?;
        self.friends.people = friends.into_iter().collect();
        self.shorten_links(now);
        Ok(())
    }
}
