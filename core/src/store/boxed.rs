//! A store chosen at run time is a store: SQLite where there is a disk, memory where there is none.

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};

use super::{
    Act, Budget, Cause, Changes, Counts, Cursor, FoundPerson, Item, Known, Note, Notifications, Page, Put,
    Reactors, RequestKey, Scope, StorageReport, Store, StoreError, Thread,
};
use crate::social::{Mutes, Profile, Ring};
use crate::time::Millis;

impl<S: Store + ?Sized> Store for Box<S> {
    fn put(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        (**self).put(events, now)
    }

    fn put_verified(&mut self, events: &[Event], now: Millis) -> Result<Vec<Put>, StoreError> {
        (**self).put_verified(events, now)
    }

    fn put_for(&mut self, request: RequestKey, event: &Event, now: Millis) -> Result<Put, StoreError> {
        (**self).put_for(request, event, now)
    }

    fn take_changes(&mut self) -> Changes {
        (**self).take_changes()
    }

    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        (**self).known(id)
    }

    fn known_of(&self, ids: &[EventId]) -> Result<Vec<Known>, StoreError> {
        (**self).known_of(ids)
    }

    fn events_of(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        (**self).events_of(ids)
    }

    fn notes_of(&self, ids: &[EventId]) -> Result<Vec<Note>, StoreError> {
        (**self).notes_of(ids)
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

    fn find(&self, filter: &Filter, limit: usize, effort: &mut usize) -> Result<Vec<Item>, StoreError> {
        (**self).find(filter, limit, effort)
    }

    fn set_me(&mut self, me: Option<PublicKey>) -> Result<(), StoreError> {
        (**self).set_me(me)
    }

    fn set_private_mutes(&mut self, mutes: Mutes) -> Result<(), StoreError> {
        (**self).set_private_mutes(mutes)
    }

    fn ring(&self, person: &PublicKey) -> Result<Ring, StoreError> {
        (**self).ring(person)
    }

    fn people_of(&self, ring: Ring, limit: usize) -> Result<Vec<PublicKey>, StoreError> {
        (**self).people_of(ring, limit)
    }

    fn followers(&self, person: &PublicKey, limit: usize) -> Result<(Vec<PublicKey>, u64), StoreError> {
        (**self).followers(person, limit)
    }

    fn hashtag(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        (**self).hashtag(tag, before, limit)
    }

    fn list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        (**self).list(owner, name, before, limit)
    }

    fn thread(&self, id: &EventId, after: Option<Cursor>, limit: usize) -> Result<Thread, StoreError> {
        (**self).thread(id, after, limit)
    }

    fn counts(&self, id: &EventId) -> Result<Counts, StoreError> {
        (**self).counts(id)
    }

    fn reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Result<Reactors, StoreError> {
        (**self).reactors(id, act, after, limit)
    }

    fn notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Notifications, StoreError> {
        (**self).notifications(causes, before, limit)
    }

    fn set_read_until(&mut self, place: Cursor) -> Result<(), StoreError> {
        (**self).set_read_until(place)
    }

    fn search_notes(&self, text: &str, before: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        (**self).search_notes(text, before, limit)
    }

    fn search_people(&self, text: &str, limit: usize) -> Result<Vec<FoundPerson>, StoreError> {
        (**self).search_people(text, limit)
    }

    fn set_budget(&mut self, ring: Ring, budget: Budget) -> Result<(), StoreError> {
        (**self).set_budget(ring, budget)
    }

    fn budget(&self, ring: Ring) -> Result<Budget, StoreError> {
        (**self).budget(ring)
    }

    fn tidy(&mut self, now: Millis) -> Result<bool, StoreError> {
        (**self).tidy(now)
    }

    fn compact(&mut self) -> Result<bool, StoreError> {
        (**self).compact()
    }

    fn free_space(&self) -> Result<u64, StoreError> {
        (**self).free_space()
    }

    fn report(&self) -> Result<StorageReport, StoreError> {
        (**self).report()
    }

    fn events_after(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Event>, StoreError> {
        (**self).events_after(after, limit)
    }

    fn written_for(&self, request: RequestKey) -> Result<Option<EventId>, StoreError> {
        (**self).written_for(request)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        (**self).setting(name)
    }

    fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        (**self).set_setting(name, value)
    }
}
