//! [`MemoryStore`]: everything in ordered maps, for the simulation and for sessions without storage.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};

use super::rules::{self, Tables, Version, Wanted};
use super::{Changes, Cursor, Entry, Item, Known, Note, Page, Put, Scope, Store, StoreError};
use crate::social::{Address, Profile, read_follows, read_profile};
use crate::time::Millis;

const LOWEST: EventId = EventId::from_byte_array([0; 32]);
const HIGHEST: EventId = EventId::from_byte_array([0xff; 32]);

/// A store that forgets when it is dropped. Clones share the events' memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    events: BTreeMap<EventId, Arc<Event>>,
    /// Newest first, of one second the lower id first.
    by_kind: BTreeSet<(Kind, Reverse<u64>, EventId)>,
    by_author: BTreeSet<(PublicKey, Kind, Reverse<u64>, EventId)>,
    names: BTreeMap<PublicKey, String>,
    follows: BTreeMap<PublicKey, Vec<PublicKey>>,
    latest: BTreeMap<Address, Version>,
    forgotten: BTreeMap<Address, u64>,
    vanished: BTreeMap<PublicKey, u64>,
    tombstones: BTreeSet<(EventId, PublicKey)>,
    gone: BTreeSet<EventId>,
    settings: BTreeMap<String, String>,
    changes: Changes,
    pool: Option<EventPool>,
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

    /// The notes of the index range, newest first.
    fn places(
        &self,
        author: Option<&PublicKey>,
        before: Option<Cursor>,
    ) -> impl Iterator<Item = Cursor> + '_ {
        let kind = Kind::TextNote;
        let (after, id) = match before {
            Some(Cursor { created_at, id }) => (Bound::Excluded(Reverse(created_at)), id),
            None => (Bound::Included(Reverse(u64::MAX)), LOWEST),
        };
        let end = (Reverse(0), HIGHEST);
        let of_author = author.map(|author| {
            let range = (
                after.map(|at| (*author, kind, at, id)),
                Bound::Included((*author, kind, end.0, end.1)),
            );
            self.by_author.range(range).map(|(_, _, at, id)| Cursor {
                created_at: at.0,
                id: *id,
            })
        });
        let of_all = author.is_none().then(|| {
            let range = (
                after.map(|at| (kind, at, id)),
                Bound::Included((kind, end.0, end.1)),
            );
            self.by_kind.range(range).map(|(_, at, id)| Cursor {
                created_at: at.0,
                id: *id,
            })
        });
        of_author
            .into_iter()
            .flatten()
            .chain(of_all.into_iter().flatten())
    }

    fn to_note(&self, event: &Event) -> Note {
        Note {
            id: event.id,
            author: event.pubkey,
            author_name: self.names.get(&event.pubkey).cloned(),
            created_at: event.created_at.as_secs(),
            content: event.content.clone(),
            references: crate::social::References::default(),
            counts: super::Counts::default(),
            repost: None,
        }
    }
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

    fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        Tables::known(self, id)
    }

    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.events.get(id).map(|event| (**event).clone()))
    }

    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        let event = self.events.get(id).filter(|event| event.kind == Kind::TextNote);
        Ok(event.map(|event| self.to_note(event)))
    }

    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let wanted = limit.saturating_add(1);
        let places = match scope {
            Scope::Everyone => self.places(None, before).take(wanted).collect(),
            Scope::Author(author) | Scope::Posts(author) | Scope::Replies(author) | Scope::Media(author) => {
                self.places(Some(&author), before).take(wanted).collect()
            }
            Scope::FollowedBy(person) => {
                let follows = self.follows.get(&person).into_iter().flatten().copied();
                let people: BTreeSet<_> = follows.chain([person]).collect();
                rules::merge(people, before, wanted, |one, before| {
                    Ok(self.places(Some(one), before).next())
                })?
            }
        };
        let notes = places.iter().filter_map(|place| self.events.get(&place.id));
        Ok(rules::page(
            notes.map(|event| self.to_note(event)).collect(),
            limit,
        ))
    }

    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError> {
        Ok(self.places(Some(author), None).count() as u64)
    }

    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError> {
        Ok(self
            .replaceable(person, Kind::Metadata)?
            .as_ref()
            .map(read_profile))
    }

    fn replaceable(&self, person: &PublicKey, kind: Kind) -> Result<Option<Event>, StoreError> {
        let address = Address {
            author: *person,
            kind,
            identifier: String::new(),
        };
        self.latest
            .get(&address)
            .map_or(Ok(None), |version| self.event(&version.id.0))
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
        let own = self.events.values().filter(|event| event.pubkey == *author);
        let old: Vec<EventId> = own
            .filter(|event| event.created_at.as_secs() <= until)
            .map(|event| event.id)
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

    fn has_room(&self, _event: &Event) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn insert(&mut self, event: &Event) -> Result<(), StoreError> {
        let (author, kind, at) = (event.pubkey, event.kind, Reverse(event.created_at.as_secs()));
        self.changes.added.push(Entry::of(event));
        self.by_kind.insert((kind, at, event.id));
        self.by_author.insert((author, kind, at, event.id));
        if kind == Kind::Metadata {
            if let Some(name) = rules::shown_name(event) {
                self.names.insert(author, name);
            }
        } else if kind == Kind::ContactList {
            self.follows.insert(author, read_follows(event));
        }
        let shared = match &self.pool {
            Some(pool) => pool.share(event),
            None => Arc::new(event.clone()),
        };
        self.events.insert(event.id, shared);
        Ok(())
    }

    fn retire(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        let Some(event) = self.events.get(id) else {
            return Ok(());
        };
        let (kind, at) = (event.kind, Reverse(event.created_at.as_secs()));
        if event.pubkey != *author || rules::is_lasting(kind) {
            return Ok(());
        }
        self.changes.removed.push(Entry::of(event));
        self.events.remove(id);
        self.by_kind.remove(&(kind, at, *id));
        self.by_author.remove(&(*author, kind, at, *id));
        if kind == Kind::Metadata {
            self.names.remove(author);
        } else if kind == Kind::ContactList {
            self.follows.remove(author);
        }
        self.set_gone(id)
    }

    fn set_gone(&mut self, id: &EventId) -> Result<(), StoreError> {
        self.gone.insert(*id);
        Ok(())
    }

    fn is_verified(&self, event: &Event) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.holds(event))
    }
}

/// Events that the stores of one simulation share: a thousand peers keep one copy of an event and check its
/// signature once. It keeps what was ever stored for as long as one of the stores lives.
#[derive(Clone, Debug, Default)]
pub struct EventPool(Arc<Mutex<HashMap<EventId, Arc<Event>>>>);

impl EventPool {
    /// Whether this very event was verified before.
    fn holds(&self, event: &Event) -> bool {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .get(&event.id)
            .is_some_and(|shared| shared.sig == event.sig && **shared == *event)
    }

    fn share(&self, event: &Event) -> Arc<Event> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = events.entry(event.id).or_insert_with(|| Arc::new(event.clone()));
        // One id may have several valid signatures; each store keeps the one it was given.
        if shared.sig == event.sig {
            Arc::clone(shared)
        } else {
            Arc::new(event.clone())
        }
    }
}
