//! A store chosen at run time is a store: SQLite where there is a disk, memory where there is none.

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};

use super::{Changes, Cursor, Item, Known, Note, Page, Put, Scope, Store, StoreError};
use crate::social::Profile;
use crate::time::Millis;

impl<S: Store + ?Sized> Store for Box<S> {
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        (**self).put(events, now)
    }

    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        (**self).put_verified(events, now)
    }

    fn take_changes(&mut self) -> Changes {
        (**self).take_changes()
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        (**self).known(id)
    }

    fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        (**self).event(id)
    }

    fn note(&self, id: &EventId) -> Result<Option<Note>, StoreError> {
        (**self).note(id)
    }

    fn timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        (**self).timeline(scope, before, limit)
    }

    fn note_count(&self, author: &PublicKey) -> Result<u64, StoreError> {
        (**self).note_count(author)
    }

    fn profile(&self, person: &PublicKey) -> Result<Option<Profile>, StoreError> {
        (**self).profile(person)
    }

    fn replaceable(&self, person: &PublicKey, kind: Kind) -> Result<Option<Event>, StoreError> {
        (**self).replaceable(person, kind)
    }

    fn follows(&self, person: &PublicKey) -> Result<Vec<PublicKey>, StoreError> {
        (**self).follows(person)
    }

    fn items(&self, filter: &Filter) -> Result<Vec<Item>, StoreError> {
        (**self).items(filter)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        (**self).setting(name)
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        (**self).set_setting(name, value)
    }
}
