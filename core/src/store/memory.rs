//! [`MemoryStore`]: everything in ordered maps, for the simulation and for sessions without storage; and the model that
//! the SQLite store is compared with, so it answers in the plainest way. Fast is only what a simulated peer asks: putting,
//! looking up by id, reconciliation items, the pages of everybody and of one person.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use nostr::prelude::{Event, EventId, Filter, Kind, MatchEventOptions, PublicKey};

use super::rules::{self, Tables, Version, Wanted};
use super::{
    Act, Budget, Cause, Changes, Counts, Cursor, FoundPerson, Item, Known, Note, Notifications, Page, Put,
    Query, REQUESTS_KEPT, Reactors, RequestKey, Scope, StorageReport, Store, StoreError, Thread, Usage,
};
use crate::social::{Address, Mutes, Profile, References, Ring, read_mutes, read_profile};
use crate::time::Millis;

mod notices;
mod pages;
mod people;
mod room;
mod tables;
mod threads;

const LOWEST: EventId = EventId::from_byte_array([0; 32]);
const HIGHEST: EventId = EventId::from_byte_array([0xff; 32]);

/// Newest first, of one second the lower id first.
type Place = (Reverse<u64>, EventId);

/// A store that forgets when it is dropped. Clones share the events' memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    events: BTreeMap<EventId, Arc<Held>>,
    by_kind: BTreeSet<(Kind, Reverse<u64>, EventId)>,
    by_author: BTreeSet<(PublicKey, Kind, Reverse<u64>, EventId)>,
    /// What stands in timelines: notes and reposts.
    listed: BTreeSet<Place>,
    listed_by_author: BTreeSet<(PublicKey, Reverse<u64>, EventId)>,
    /// What stored events say of others, which may be elsewhere.
    links: BTreeSet<(EventId, Link, PublicKey, EventId)>,
    names: BTreeMap<PublicKey, String>,
    follows: BTreeMap<PublicKey, Vec<PublicKey>>,
    /// Since when somebody follows the person of this device: the place of the first of all their lists ever seen.
    followers: BTreeMap<PublicKey, Place>,
    usage: BTreeMap<PublicKey, Usage>,
    latest: BTreeMap<Address, Version>,
    forgotten: BTreeMap<Address, u64>,
    vanished: BTreeMap<PublicKey, u64>,
    tombstones: BTreeSet<(EventId, PublicKey)>,
    gone: BTreeSet<EventId>,
    settings: BTreeMap<String, String>,
    requests: BTreeMap<RequestKey, (EventId, Millis)>,
    me: Option<PublicKey>,
    mutes: Mutes,
    private_mutes: Mutes,
    budgets: BTreeMap<Ring, Budget>,
    read_until: Option<Place>,
    changes: Changes,
    pool: Option<EventPool>,
}

/// A stored event.
#[derive(Clone, Debug)]
struct Held {
    event: Event,
    references: References,
    /// By which budgets count.
    bytes: u64,
}

/// What an event says of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Link {
    Reply,
    Thread,
    Repost,
    Quote,
    Reaction,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that shares events and their verification with the other stores of this pool.
    pub fn with_pool(pool: &EventPool) -> Self {
        Self {
            pool: Some(pool.clone()),
            ..Self::default()
        }
    }

    fn held(&self, id: &EventId) -> Option<&Held> {
        self.events.get(id).map(|held| &**held)
    }

    fn note_held(&self, id: &EventId) -> Option<&Held> {
        self.held(id).filter(|held| held.event.kind == Kind::TextNote)
    }

    fn latest_of(&self, author: &PublicKey, kind: Kind, identifier: &str) -> Option<&Event> {
        let address = Address {
            author: *author,
            kind,
            identifier: identifier.to_owned(),
        };
        let version = self.latest.get(&address)?;
        self.held(&version.id.0).map(|held| &held.event)
    }

    fn read_mutes(&mut self) {
        let list = self.me.and_then(|me| self.latest_of(&me, Kind::MuteList, ""));
        self.mutes = list.map(read_mutes).unwrap_or_default();
        self.mutes.merge(self.private_mutes.clone());
        self.changes.queries.insert(Query::Mutes);
    }
}

fn place(event: &Event) -> Place {
    (Reverse(event.created_at.as_secs()), event.id)
}

fn to_place(cursor: Cursor) -> Place {
    (Reverse(cursor.created_at), cursor.id)
}

impl Store for MemoryStore {
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        let admitted = events.iter().map(|event| rules::admit(self, event, false, now));
        admitted.collect()
    }

    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        let admitted = events.iter().map(|event| rules::admit(self, event, true, now));
        admitted.collect()
    }

    fn put_for(&mut self, request: RequestKey, event: &Event, now: Millis) -> Result<Put, StoreError> {
        let put = rules::admit(self, event, false, now)?;
        if put == Put::Stored {
            self.requests.retain(|_, (_, at)| now.since(*at) <= REQUESTS_KEPT);
            self.requests.insert(request, (event.id, now));
        }
        Ok(put)
    }

    fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        Tables::known(self, id)
    }

    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.held(id).map(|held| held.event.clone()))
    }

    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        Ok(self.note_held(id).map(|held| self.to_note(held)))
    }

    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.read_timeline(scope, before, limit))
    }

    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError> {
        let kind = Kind::TextNote;
        let all = (*author, kind, Reverse(u64::MAX), LOWEST)..=(*author, kind, Reverse(0), HIGHEST);
        Ok(self.by_author.range(all).count() as u64)
    }

    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError> {
        Ok(self.latest_of(person, Kind::Metadata, "").map(read_profile))
    }

    fn replaceable(&self, person: &PublicKey, kind: Kind) -> Result<Option<Event>, StoreError> {
        Ok(self.latest_of(person, kind, "").cloned())
    }

    fn follows(&self, person: &PublicKey) -> Result<Vec<PublicKey>, StoreError> {
        Ok(self.follows.get(person).cloned().unwrap_or_default())
    }

    fn items(&self, filter: &Filter) -> Result<Vec<Item>, StoreError> {
        let Wanted {
            kinds,
            authors,
            since,
            until,
        } = Wanted::new(filter);
        let mut items = Vec::new();
        if since > until {
            return Ok(items);
        }
        let (from, to) = ((Reverse(until), LOWEST), (Reverse(since), HIGHEST));
        for kind in kinds {
            match &authors {
                None => {
                    let range = self.by_kind.range((kind, from.0, from.1)..=(kind, to.0, to.1));
                    items.extend(range.map(|(_, at, id)| Item {
                        created_at: at.0,
                        id: *id,
                    }));
                }
                Some(authors) => {
                    for author in authors {
                        let range = (*author, kind, from.0, from.1)..=(*author, kind, to.0, to.1);
                        let found = self.by_author.range(range);
                        items.extend(found.map(|(_, _, at, id)| Item {
                            created_at: at.0,
                            id: *id,
                        }));
                    }
                }
            }
        }
        items.sort_unstable();
        Ok(items)
    }

    fn find(&self, filter: &Filter, limit: usize, effort: &mut usize) -> Result<Vec<Item>, StoreError> {
        *effort = effort.saturating_sub(self.events.len());
        let matching = self.events.values().map(|held| &held.event);
        let mut places: Vec<Place> = matching
            .filter(|event| filter.match_event(event, MatchEventOptions::new()))
            .map(place)
            .collect();
        places.sort_unstable();
        let items = places.into_iter().map(|(created_at, id)| Item {
            created_at: created_at.0,
            id,
        });
        Ok(items.take(limit).collect())
    }

    fn set_me(&mut self, me: Option<PublicKey>) -> Result<(), StoreError> {
        self.become_me(me);
        Ok(())
    }

    fn set_private_mutes(&mut self, mutes: Mutes) -> Result<(), StoreError> {
        self.private_mutes = mutes;
        self.read_mutes();
        Ok(())
    }

    fn ring(&self, person: &PublicKey) -> Result<Ring, StoreError> {
        Ok(self.ring_of(person))
    }

    fn people_of(&self, ring: Ring, limit: usize) -> Result<Vec<PublicKey>, StoreError> {
        let people = self.people().into_iter();
        Ok(people
            .filter(|one| self.ring_of(one) == ring)
            .take(limit)
            .collect())
    }

    fn followers(&self, person: &PublicKey, limit: usize) -> Result<(Vec<PublicKey>, u64), StoreError> {
        let lists = self.follows.iter().filter(|(_, list)| list.contains(person));
        let all: Vec<_> = lists.map(|(follower, _)| *follower).collect();
        Ok((all.iter().take(limit).copied().collect(), all.len() as u64))
    }

    fn hashtag(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.read_hashtag(tag, before, limit))
    }

    fn list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        Ok(self.read_list(owner, name, before, limit))
    }

    fn thread(&self, id: &EventId, after: Option<Cursor>, limit: usize) -> Result<Thread, StoreError> {
        Ok(self.read_thread(id, after, limit))
    }

    fn counts(&self, id: &EventId) -> Result<Counts, StoreError> {
        Ok(self.count(id))
    }

    fn reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Result<Reactors, StoreError> {
        Ok(self.read_reactors(id, act, after, limit))
    }

    fn notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Notifications, StoreError> {
        Ok(self.read_notifications(causes, before, limit))
    }

    fn set_read_until(&mut self, place: Cursor) -> Result<(), StoreError> {
        self.read_until = Some(self.notice_place(place));
        self.changes.queries.insert(Query::Notifications);
        Ok(())
    }

    fn search_notes(&self, text: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.find_notes(text, before, limit))
    }

    fn search_people(&self, text: &str, limit: usize) -> Result<Vec<FoundPerson>, StoreError> {
        Ok(self.find_people(text, limit))
    }

    fn set_budget(&mut self, ring: Ring, budget: Budget) -> Result<(), StoreError> {
        self.budgets.insert(ring, budget);
        Ok(())
    }

    fn budget(&self, ring: Ring) -> Result<Budget, StoreError> {
        let set = self.budgets.get(&ring).copied();
        Ok(set.unwrap_or(Budget::UNLIMITED))
    }

    fn tidy(&mut self, now: Millis) -> Result<bool, StoreError> {
        self.drop_some(now)
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn free_space(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn report(&self) -> Result<StorageReport, StoreError> {
        Ok(self.usage_report())
    }

    fn events_after(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        let mut places: Vec<Place> = self.events.values().map(|held| place(&held.event)).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        let after = after.map(to_place);
        let rest = places
            .into_iter()
            .filter(|place| after.is_none_or(|after| *place < after));
        let events = rest.filter_map(|(_, id)| self.held(&id));
        Ok(events.take(limit).map(|held| held.event.clone()).collect())
    }

    fn written_for(&self, request: RequestKey) -> Result<Option<EventId>, StoreError> {
        Ok(self.requests.get(&request).map(|(event, _)| *event))
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.settings.get(name).cloned())
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.settings.insert(name.to_owned(), value.to_owned()),
            None => self.settings.remove(name),
        };
        Ok(())
    }
}

/// Events that the stores of one simulation share: a thousand peers keep one copy of an event and check its
/// signature once. It keeps what was ever stored for as long as one of the stores lives.
#[derive(Clone, Debug, Default)]
pub struct EventPool(Arc<Mutex<HashMap<EventId, Arc<Held>>>>);

impl EventPool {
    /// Whether this very event was verified before.
    fn holds(&self, event: &Event) -> bool {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .get(&event.id)
            .is_some_and(|shared| shared.event.sig == event.sig && shared.event == *event)
    }

    fn share(&self, event: &Event) -> Arc<Held> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = events
            .entry(event.id)
            .or_insert_with(|| Arc::new(Held::new(event)));
        // One id may have several valid signatures; each store keeps the one it was given.
        if shared.event.sig == event.sig {
            Arc::clone(shared)
        } else {
            Arc::new(Held::new(event))
        }
    }
}

impl Held {
    fn new(event: &Event) -> Self {
        let tags = event.tags.iter().flat_map(|tag| tag.as_slice());
        let bytes = event.content.len() + tags.map(String::len).sum::<usize>();
        Self {
            event: event.clone(),
            references: References::of(event),
            bytes: (bytes + room::FRAME_BYTES) as u64,
        }
    }
}
