//! Answers to what the interface asks.

use std::time::Duration;

use nostr::prelude::{Event, EventId, Keys, Kind, PublicKey};

use super::api::{Change, Command, Network, Person, Reply, RequestError, Secret};
use super::{Node, fresh_keys};
use crate::identity::{self, VaultError, npub, nsec, parse_nsec};
use crate::social::{self, Profile, clean_name, clean_note};
use crate::store::{Cursor, Note, Put, RequestKey, Scope, Store, StoreError};
use crate::time::Millis;

/// The setting that says that an imported identity's own events have not arrived yet.
pub(super) const UNSYNCED: &str = "identity-unsynced";
/// Most notes in a page.
const MAX_PAGE: usize = 200;
/// Steps of giving space back that one request takes: some seconds at most.
const COMPACT_STEPS: usize = 64;
/// Most characters of a reaction: an emoji of many parts, or the name of a custom one.
const MAX_REACTION_CHARS: usize = 64;
/// Longest name and value of a setting, in bytes.
const MAX_SETTING: (usize, usize) = (64, 64 * 1024);
/// How far ahead of the clock an own note may be dated, so that own notes keep their order within a second: a burst of
/// 300. It leaves others' clocks ten minutes of error.
const NOTE_AHEAD: Duration = Duration::from_secs(300);
/// The same for a profile or a follow list, which must be newer than the one it replaces to be kept anywhere.
const REPLACEABLE_AHEAD: Duration = Duration::from_secs(social::MAX_FUTURE_SECS);

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        if error.full {
            Self::Full
        } else if error.damaged {
            Self::Damaged(error.to_string())
        } else {
            Self::Storage(error.to_string())
        }
    }
}

impl From<VaultError> for RequestError {
    fn from(error: VaultError) -> Self {
        Self::Storage(error.to_string())
    }
}

impl From<social::TextError> for RequestError {
    fn from(error: social::TextError) -> Self {
        Self::Text(error)
    }
}

impl<S: Store> Node<S> {
    /// A `key` says that the request may have been carried out before, wholly or in part, by another node on this store.
    pub(super) fn answer(
        &mut self,
        command: Command,
        key: Option<RequestKey>,
        now: Millis,
    ) -> Result<Reply, RequestError> {
        Ok(match command {
            Command::Me => Reply::Me(self.own_person()?),
            Command::SignUp { name } => {
                let name = clean_name(&name)?;
                let done = match key {
                    Some(key) => self.store.written_for(key)?.is_some(),
                    None => false,
                };
                if !done {
                    // The name may not have been given any more, when the key was made.
                    if key.is_none() || !self.is_nameless()? {
                        let keys = fresh_keys(&mut self.rng);
                        self.become_somebody(keys, now)?;
                    }
                    self.rename(name, key, now)?;
                }
                Reply::Me(self.own_person()?)
            }
            Command::Import { nsec } => {
                let keys = parse_nsec(&nsec).map_err(|identity::NotAKey| RequestError::NotAKey)?;
                if key.is_some() && self.me.as_ref() == Some(&keys) {
                    return Ok(Reply::Me(self.own_person()?));
                }
                if self.me.is_none() {
                    self.store.set_setting(UNSYNCED, Some("imported"))?;
                }
                self.become_somebody(keys, now)?;
                Reply::Me(self.own_person()?)
            }
            Command::Secret => {
                let me = self.me()?;
                Reply::Secret(Secret {
                    nsec: nsec(me),
                    npub: npub(&me.public_key()),
                })
            }
            Command::Timeline { scope, before, limit } => {
                Reply::Page(self.store.timeline(scope, before, limit.clamp(1, MAX_PAGE))?)
            }
            Command::Note(id) => Reply::Note(self.store.note(&id)?),
            Command::Person(person) => Reply::Person(self.person(person)?),
            Command::Post { text } => {
                let text = clean_note(&text)?;
                Reply::Posted(self.write_note(key, now, |node| {
                    Ok(social::note_event(node.me()?, text, node.note_time(now)?))
                })?)
            }
            Command::Delete(id) => {
                self.write(key, now, |node| node.deletion(id, now))?;
                Reply::Done
            }
            Command::Follow { person, follow } => {
                self.follow(person, follow, now)?;
                Reply::Done
            }
            Command::Rename { name } => {
                if let Some(key) = key
                    && self.store.written_for(key)?.is_some()
                {
                    return Ok(Reply::Done);
                }
                self.rename(clean_name(&name)?, key, now)?;
                Reply::Done
            }
            Command::Answer { to, text } => {
                let text = clean_note(&text)?;
                Reply::Posted(self.write_note(key, now, |node| {
                    let (to, at) = (node.here(&to)?, node.note_time(now)?);
                    Ok(social::reply_event(node.me()?, &to, text, at))
                })?)
            }
            Command::Quote { of, text } => {
                let text = clean_note(&text)?;
                Reply::Posted(self.write_note(key, now, |node| {
                    let (of, at) = (node.here(&of)?, node.note_time(now)?);
                    Ok(social::quote_event(node.me()?, &of, text, at))
                })?)
            }
            Command::Repost(id) => {
                self.write(key, now, |node| {
                    Ok(social::repost_event(node.me()?, &node.here(&id)?, now))
                })?;
                Reply::Done
            }
            Command::React { to, content } => {
                if content.chars().count() > MAX_REACTION_CHARS {
                    return Err(RequestError::Text(social::TextError::TooLong));
                }
                self.write(key, now, |node| {
                    Ok(social::reaction_event(
                        node.me()?,
                        &node.here(&to)?,
                        &content,
                        now,
                    ))
                })?;
                Reply::Done
            }
            Command::Mute { person, mute } => {
                self.mute(person, mute, now)?;
                Reply::Done
            }
            Command::Hashtag { tag, before, limit } => {
                Reply::Page(self.store.hashtag(&tag, before, limit.clamp(1, MAX_PAGE))?)
            }
            Command::List {
                owner,
                name,
                before,
                limit,
            } => Reply::Page(self.store.list(&owner, &name, before, limit.clamp(1, MAX_PAGE))?),
            Command::Thread { id, after, limit } => {
                let thread = self.store.thread(&id, after, limit.clamp(1, MAX_PAGE))?;
                Reply::Thread(Box::new(thread))
            }
            Command::Reactors {
                id,
                act,
                after,
                limit,
            } => Reply::Reactors(self.store.reactors(&id, act, after, limit.clamp(1, MAX_PAGE))?),
            Command::Notifications {
                causes,
                before,
                limit,
            } => {
                let page = self
                    .store
                    .notifications(&causes, before, limit.clamp(1, MAX_PAGE))?;
                Reply::Notifications(page)
            }
            Command::ReadUntil(place) => {
                // One that is dated ahead of the clock does not hide what comes until then.
                let place = if place.created_at > now.0 / 1000 {
                    Cursor {
                        created_at: now.0 / 1000,
                        id: EventId::from_byte_array([0; 32]),
                    }
                } else {
                    place
                };
                self.store.set_read_until(place)?;
                self.tell_changes();
                Reply::Done
            }
            Command::SearchNotes { text, before, limit } => {
                Reply::Page(self.store.search_notes(&text, before, limit.clamp(1, MAX_PAGE))?)
            }
            Command::SearchPeople { text, limit } => {
                Reply::People(self.store.search_people(&text, limit.clamp(1, MAX_PAGE))?)
            }
            Command::Storage => Reply::Storage(Box::new(self.store.report()?)),
            Command::SetBudget { ring, budget } => {
                self.store.set_budget(ring, budget)?;
                self.upkeep.now();
                self.wanted.refresh();
                Reply::Done
            }
            Command::Compact => {
                for _ in 0..COMPACT_STEPS {
                    if !self.store.compact()? {
                        break;
                    }
                }
                // What is left is given back as time passes.
                self.upkeep.now();
                Reply::Storage(Box::new(self.store.report()?))
            }
            Command::StartExport(format) => self.start_export(format)?,
            Command::NextExport => self.next_export()?,
            Command::StartImport => self.start_import()?,
            Command::NextImport { bytes } => self.next_import(&bytes, now)?,
            Command::FinishImport => self.finish_import(now)?,
            Command::StopTransfers => self.stop_transfers()?,
            Command::Network => Reply::Network(Network {
                signal: self.servers.state(),
                refused: self.servers.refused(),
                servers: self.servers.info(),
                peers: self.peers()?,
                misses_relay: self.misses_relay(),
            }),
            Command::AddServer(url) => {
                self.add_server(&url, now)?;
                Reply::Done
            }
            Command::RemoveServer(url) => {
                self.remove_server(&url, now)?;
                Reply::Done
            }
            Command::Routes => Reply::Routes(self.chosen_routes()),
            Command::SetRoute { ring, route } => {
                self.set_route(ring, route, now)?;
                Reply::Done
            }
            Command::Setting(name) => Reply::Setting(self.store.setting(&name)?),
            Command::KeepBlob { bytes } => self.keep_blob(&bytes, now)?,
            Command::Blob { id, size } => self.blob(id, size, now)?,
            Command::ForgetBlob(id) => {
                self.forget_blob(&id, now);
                Reply::Done
            }
            Command::DeleteBlob(id) => {
                self.delete_blob(&id, now)?;
                Reply::Done
            }
            Command::Media => Reply::Media(self.blobs().usage()),
            Command::SetMediaBudget(bytes) => {
                self.set_media_budget(bytes)?;
                Reply::Done
            }
            Command::SetSetting { name, value } => {
                if name.len() > MAX_SETTING.0
                    || value.as_ref().is_some_and(|value| value.len() > MAX_SETTING.1)
                {
                    return Err(RequestError::Text(social::TextError::TooLong));
                }
                self.store.set_setting(&name, value.as_deref())?;
                Reply::Done
            }
        })
    }

    fn me(&self) -> Result<&Keys, RequestError> {
        self.me.as_ref().ok_or(RequestError::NoIdentity)
    }

    fn become_somebody(&mut self, keys: Keys, now: Millis) -> Result<(), RequestError> {
        if self.me.is_some() {
            return Err(RequestError::AlreadySignedUp);
        }
        // First the key, durably: without it everything that follows would be lost.
        self.vault.save(&keys)?;
        self.store.set_me(Some(keys.public_key()))?;
        self.me = Some(keys);
        self.wanted.refresh();
        self.restart_links(now);
        Ok(())
    }

    /// Whether there is an identity without a profile.
    fn is_nameless(&self) -> Result<bool, StoreError> {
        let Some(me) = &self.me else {
            return Ok(false);
        };
        Ok(self.store.profile(&me.public_key())?.is_none())
    }

    fn own_person(&self) -> Result<Option<Person>, StoreError> {
        self.me
            .as_ref()
            .map(|me| self.person(me.public_key()))
            .transpose()
    }

    fn person(&self, key: PublicKey) -> Result<Person, StoreError> {
        let me = self.me.as_ref().map(Keys::public_key);
        let followed = me
            .map(|me| self.store.follows(&me))
            .transpose()?
            .is_some_and(|list| list.contains(&key));
        Ok(Person {
            key,
            npub: npub(&key),
            name: self.name_of(&key)?,
            me: me == Some(key),
            followed,
            notes: self.store.note_count(&key)?,
            follows: self.store.follows(&key)?.len() as u64,
        })
    }

    /// An imported identity has a profile and a follow list somewhere: a new one, dated now, would replace it for good.
    fn check_synced(&self, previous: Option<&Event>) -> Result<(), RequestError> {
        if previous.is_none() && self.store.setting(UNSYNCED)?.is_some() {
            return Err(RequestError::NotYetSynced);
        }
        Ok(())
    }

    /// When an own note is dated: after the one before.
    fn note_time(&self, now: Millis) -> Result<Millis, RequestError> {
        let me = self.me()?.public_key();
        let newest = self.store.timeline(Scope::Author(me), None, 1)?.notes.pop();
        Ok(after(newest.map(|note| note.created_at), now, NOTE_AHEAD))
    }

    /// Writes an own event, or finds what the same request has written before; its id.
    fn write(
        &mut self,
        key: Option<RequestKey>,
        now: Millis,
        event: impl FnOnce(&Self) -> Result<Event, RequestError>,
    ) -> Result<EventId, RequestError> {
        if let Some(key) = key
            && let Some(id) = self.store.written_for(key)?
        {
            return Ok(id);
        }
        let event = event(self)?;
        match key {
            Some(key) => self.take_in_for(key, &event, now)?,
            None => self.take_in(std::slice::from_ref(&event), None, now)?,
        };
        Ok(event.id)
    }

    /// The same for a note.
    fn write_note(
        &mut self,
        key: Option<RequestKey>,
        now: Millis,
        event: impl FnOnce(&Self) -> Result<Event, RequestError>,
    ) -> Result<Note, RequestError> {
        let id = self.write(key, now, event)?;
        self.store.note(&id)?.ok_or(RequestError::NotHere)
    }

    /// An event that something own is about.
    fn here(&self, id: &EventId) -> Result<Event, RequestError> {
        self.store.event(id)?.ok_or(RequestError::NotHere)
    }

    fn mute(&mut self, person: PublicKey, mute: bool, now: Millis) -> Result<(), RequestError> {
        let me = self.me()?;
        let previous = self.store.replaceable(&me.public_key(), Kind::MuteList)?;
        self.check_synced(previous.as_ref())?;
        let at = after(
            previous.as_ref().map(|event| event.created_at.as_secs()),
            now,
            REPLACEABLE_AHEAD,
        );
        let public = previous.as_ref().map(social::read_mutes).unwrap_or_default();
        let mut private = previous
            .as_ref()
            .map(|list| social::read_private_mutes(list, me))
            .unwrap_or_default();
        private.people.retain(|muted| *muted != person);
        if mute {
            private.people.push(person);
        }
        let public = social::Mutes {
            people: public
                .people
                .into_iter()
                .filter(|muted| mute || *muted != person)
                .collect(),
            ..public
        };
        let event = social::mutes_event(me, previous.as_ref(), &public, &private, at)?;
        self.replace(event, now)?;
        Ok(self.know_private_mutes()?)
    }

    /// The part of the own mute list that only the own key reads: nobody but this person learns whom they mute.
    pub(super) fn know_private_mutes(&mut self) -> Result<(), StoreError> {
        let Some(me) = &self.me else {
            return Ok(());
        };
        let list = self.store.replaceable(&me.public_key(), Kind::MuteList)?;
        let private = list
            .map(|list| social::read_private_mutes(&list, me))
            .unwrap_or_default();
        self.store.set_private_mutes(private)
    }

    fn deletion(&self, id: EventId, now: Millis) -> Result<Event, RequestError> {
        let me = self.me()?;
        let note = self
            .store
            .note(&id)?
            .filter(|note| note.author == me.public_key());
        if note.is_none() {
            return Err(RequestError::NotYours);
        }
        Ok(social::deletion_event(me, &[id], now))
    }

    fn follow(&mut self, person: PublicKey, follow: bool, now: Millis) -> Result<(), RequestError> {
        let me = self.me()?;
        let previous = self.store.replaceable(&me.public_key(), Kind::ContactList)?;
        self.check_synced(previous.as_ref())?;
        let at = after(
            previous.as_ref().map(|event| event.created_at.as_secs()),
            now,
            REPLACEABLE_AHEAD,
        );
        let event = social::follow_event(me, previous.as_ref(), person, follow, at);
        self.replace(event, now)?;
        self.change(Change::Person(person));
        Ok(())
    }

    fn rename(&mut self, name: String, key: Option<RequestKey>, now: Millis) -> Result<(), RequestError> {
        let me = self.me()?;
        let previous = self.store.replaceable(&me.public_key(), Kind::Metadata)?;
        self.check_synced(previous.as_ref())?;
        let at = after(
            previous.as_ref().map(|event| event.created_at.as_secs()),
            now,
            REPLACEABLE_AHEAD,
        );
        let profile = Profile {
            name: Some(name),
            ..self.profile_of(&me.public_key())?
        };
        let event = social::profile_event(me, &profile, at);
        match key {
            Some(key) => replaced(&self.take_in_for(key, &event, now)?)?,
            None => self.replace(event, now)?,
        }
        self.change(Change::Me);
        Ok(())
    }

    /// Stores an own replaceable event; says so when another device has written one that lies ahead of the clock.
    fn replace(&mut self, event: Event, now: Millis) -> Result<(), RequestError> {
        replaced(&self.take_in(&[event], None, now)?)
    }
}

fn replaced(outcomes: &[Put]) -> Result<(), RequestError> {
    match outcomes {
        [Put::Stored] => Ok(()),
        other => Err(RequestError::Storage(format!(
            "a newer version is there ({other:?})"
        ))),
    }
}

/// The moment of an own event that is to come after `previous` (in seconds), unless that lies too far ahead.
fn after(previous: Option<u64>, now: Millis, ahead: Duration) -> Millis {
    let next = previous.map_or(0, |seconds| (seconds + 1) * 1000);
    if next <= (now + ahead).0 {
        Millis(now.0.max(next))
    } else {
        now
    }
}
