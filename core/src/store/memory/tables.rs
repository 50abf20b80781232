//! What is written: the rules' tables, and what is derived from the stored events.

use std::sync::Arc;

use nostr::prelude::{Event, EventId, Kind, PublicKey};

use super::{Held, Link, MemoryStore, place};
use crate::social::{self, Address, read_follows};
use crate::store::rules::{self, Tables, Version};
use crate::store::{Entry, Known, Query, StoreError};

/// Changed queries that are told one by one; past it, everything may have changed.
const MAX_QUERIES: usize = 500;

impl MemoryStore {
    /// A stored event comes or goes.
    fn index(&mut self, held: &Held, comes: bool) {
        let event = &held.event;
        let (author, kind, (at, id)) = (event.pubkey, event.kind, place(event));
        set(&mut self.by_kind, (kind, at, id), comes);
        set(&mut self.by_author, (author, kind, at, id), comes);
        if is_listed(kind) {
            set(&mut self.listed, (at, id), comes);
            set(&mut self.listed_by_author, (author, at, id), comes);
            self.changed(Query::Notes(author));
        }
        for (target, link) in links(held) {
            set(&mut self.links, (target, link, author, id), comes);
            self.changed(Query::Counts(target));
            if matches!(link, Link::Reply | Link::Thread) {
                self.changed(Query::Thread(target));
            }
        }
        let usage = self.usage.entry(author).or_default();
        if comes {
            usage.events += 1;
            usage.bytes += held.bytes;
        } else {
            usage.events -= 1;
            usage.bytes -= held.bytes;
        }
        if self
            .me
            .is_some_and(|me| social::concerns(event, &held.references, &me).is_some())
        {
            self.changed(Query::Notifications);
        }
        match kind {
            Kind::TextNote => self.note_changed(held),
            Kind::Metadata => {
                self.names.remove(&author);
                if let Some(name) = rules::shown_name(event).filter(|_| comes) {
                    self.names.insert(author, name);
                }
                self.changed(Query::Profile(author));
            }
            Kind::ContactList => {
                self.follows.remove(&author);
                if comes {
                    self.follows.insert(author, read_follows(event));
                }
                self.changed(Query::Follows(author));
            }
            kind if kind.is_addressable() => self.changed(Query::Lists(author)),
            _ => {}
        }
    }

    /// A note stands in its own thread, below its hashtags, and wherever somebody reposted it.
    fn note_changed(&mut self, held: &Held) {
        self.changed(Query::Thread(held.event.id));
        for tag in &held.references.hashtags {
            self.changed(Query::Hashtag(tag.clone()));
        }
        let reposts: Vec<PublicKey> = self.who(&held.event.id, Link::Repost).collect();
        for person in reposts {
            self.changed(Query::Notes(person));
        }
    }

    fn changed(&mut self, query: Query) {
        let queries = &mut self.changes.queries;
        if queries.len() >= MAX_QUERIES {
            queries.clear();
            queries.insert(Query::Everything);
        }
        if !queries.contains(&Query::Everything) {
            queries.insert(query);
        }
    }

    /// Takes an event out, whatever its kind.
    pub(super) fn remove(&mut self, id: &EventId) {
        if let Some(held) = self.events.remove(id) {
            self.changes.removed.push(Entry::of(&held.event));
            self.index(&held, false);
            self.gone.insert(*id);
            if held.event.kind == Kind::MuteList && self.me == Some(held.event.pubkey) {
                self.read_mutes();
            }
        }
    }
}

fn set<T: Ord>(index: &mut std::collections::BTreeSet<T>, key: T, present: bool) {
    if present {
        index.insert(key);
    } else {
        index.remove(&key);
    }
}

fn is_listed(kind: Kind) -> bool {
    matches!(kind, Kind::TextNote | Kind::Repost | Kind::GenericRepost)
}

fn links(held: &Held) -> Vec<(EventId, Link)> {
    let references = &held.references;
    let parent = references.parent.map(|id| (id, Link::Reply));
    let root = references.root.map(|id| (id, Link::Thread));
    let repost = social::repost_target(&held.event).map(|target| (target.id, Link::Repost));
    let reaction = social::reaction_target(&held.event).map(|target| (target.id, Link::Reaction));
    let quotes = references.quotes.iter().map(|id| (*id, Link::Quote));
    let single = [parent, root, repost, reaction].into_iter().flatten();
    single.chain(quotes).collect()
}

impl Tables for MemoryStore {
    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        Ok(if self.events.contains_key(id) {
            Known::Stored
        } else if self.gone.contains(id) {
            Known::Gone
        } else {
            Known::No
        })
    }

    fn is_tombstoned(&self, id: &EventId, author: &PublicKey) -> Result<bool, StoreError> {
        Ok(self.tombstones.contains(&(*id, *author)))
    }

    fn tombstone(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        self.tombstones.insert((*id, *author));
        Ok(())
    }

    fn forgotten_until(&self, address: &Address) -> Result<Option<u64>, StoreError> {
        Ok(self.forgotten.get(address).copied())
    }

    fn forget_until(&mut self, address: &Address, until: u64) -> Result<(), StoreError> {
        let known = self.forgotten.entry(address.clone()).or_default();
        *known = until.max(*known);
        Ok(())
    }

    fn vanished_until(&self, author: &PublicKey) -> Result<Option<u64>, StoreError> {
        Ok(self.vanished.get(author).copied())
    }

    fn vanish_until(&mut self, author: &PublicKey, until: u64) -> Result<(), StoreError> {
        let known = self.vanished.entry(*author).or_default();
        *known = until.max(*known);
        let own = self.events.values().filter(|held| held.event.pubkey == *author);
        let old: Vec<EventId> = own
            .filter(|held| held.event.created_at.as_secs() <= until)
            .map(|held| held.event.id)
            .collect();
        old.iter().try_for_each(|id| Tables::retire(self, id, author))
    }

    fn latest(&self, address: &Address) -> Result<Option<Version>, StoreError> {
        Ok(self.latest.get(address).copied())
    }

    fn set_latest(&mut self, address: &Address, version: Version) -> Result<(), StoreError> {
        self.latest.insert(address.clone(), version);
        Ok(())
    }

    fn has_room(&self, event: &Event) -> Result<bool, StoreError> {
        Ok(self.fits(event))
    }

    fn insert(&mut self, event: &Event) -> Result<(), StoreError> {
        let held = match &self.pool {
            Some(pool) => pool.share(event),
            None => Arc::new(Held::new(event)),
        };
        self.changes.added.push(Entry::of(event));
        self.index(&held, true);
        self.events.insert(event.id, held);
        if event.kind == Kind::MuteList && self.me == Some(event.pubkey) {
            self.read_mutes();
        }
        Ok(())
    }

    fn retire(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        let held = self.held(id).map(|held| (held.event.pubkey, held.event.kind));
        if held.is_some_and(|(by, kind)| by == *author && !rules::is_lasting(kind)) {
            self.remove(id);
        }
        Ok(())
    }

    fn set_gone(&mut self, id: &EventId) -> Result<(), StoreError> {
        self.gone.insert(*id);
        Ok(())
    }

    fn saw_follow_list(&mut self, event: &Event) -> Result<(), StoreError> {
        if self
            .me
            .is_some_and(|me| me != event.pubkey && read_follows(event).contains(&me))
        {
            let since = self.followers.entry(event.pubkey).or_insert(place(event));
            *since = place(event).max(*since);
        }
        Ok(())
    }

    fn is_verified(&self, event: &Event) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.holds(event))
    }
}
