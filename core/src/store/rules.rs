//! What every store decides alike: which events are admitted, which version of a profile or follow list wins, and
//! what a deletion reaches. A store only brings the [`Tables`].
//!
//! What is visible depends on the set of verified events alone, never on their order: the latest version of a
//! replaceable event unless its author deleted it (older versions do not come back), and every note that its author
//! did not delete.

use std::cmp::Reverse;
use std::io;

use nostr::prelude::{Event, EventId, Filter, Kind, PublicKey};

use super::{Invalid, Known, Note, Page, Put, StoreError};
use crate::social::{self, Address, KINDS, MAX_EVENT_BYTES, MAX_FUTURE_SECS, read_deletion, read_profile};
use crate::time::Millis;

/// The tables that admission works on, within one transaction.
pub(super) trait Tables {
    fn known(&self, id: &EventId) -> Result<Known, StoreError>;

    /// Whether `author` asked to forget `id`. Says nothing about who wrote `id`.
    fn is_tombstoned(&self, id: &EventId, author: &PublicKey) -> Result<bool, StoreError>;

    /// Keeps that `author` asked to forget `id`.
    fn tombstone(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError>;

    /// Up to which moment the author asked to forget the versions of an address (NIP-09, `a` tags).
    fn forgotten_until(&self, address: &Address) -> Result<Option<u64>, StoreError>;

    /// Keeps that the versions of an address up to `until` are to be forgotten; a later moment wins.
    fn forget_until(&mut self, address: &Address, until: u64) -> Result<(), StoreError>;

    /// Up to which moment the author asked to forget everything (NIP-62).
    fn vanished_until(&self, author: &PublicKey) -> Result<Option<u64>, StoreError>;

    /// Keeps that everything of the author up to `until` is to be forgotten (a later moment wins), and retires what is
    /// stored of it, but for deletions and vanish requests; of very much, the rest by and by.
    fn vanish_until(&mut self, author: &PublicKey, until: u64) -> Result<(), StoreError>;

    /// The latest version ever verified of a replaceable event, stored or deleted.
    fn latest(&self, address: &Address) -> Result<Option<Version>, StoreError>;

    fn set_latest(&mut self, address: &Address, version: Version) -> Result<(), StoreError>;

    /// Whether an event of this size by this author still fits into the budget; always for the own.
    fn has_room(&self, event: &Event) -> Result<bool, StoreError>;

    /// Stores and indexes an admitted event.
    fn insert(&mut self, event: &Event) -> Result<(), StoreError>;

    /// If `author` wrote the stored event `id` and it is neither a deletion nor a vanish request: removes it with its
    /// indices and marks it gone.
    fn retire(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError>;

    /// Keeps that a verified event is not wanted again.
    fn set_gone(&mut self, id: &EventId) -> Result<(), StoreError>;

    /// A verified follow list, whatever becomes of it: it may tell since when somebody follows.
    fn saw_follow_list(&mut self, _event: &Event) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether the event was found to be genuine before.
    fn is_verified(&self, _event: &Event) -> bool {
        false
    }
}

/// Longest identifier (`d` tag) of an addressable event, in bytes: it is remembered after the event is gone.
const MAX_IDENTIFIER: usize = 256;

/// Kinds that stay when their author asks to forget: else what they removed could come back.
pub(super) fn is_lasting(kind: Kind) -> bool {
    kind == Kind::EventDeletion || kind == Kind::RequestToVanish
}

/// Orders versions of a replaceable event, and notes by recency: the greater one wins or comes first (NIP-01: the
/// newer one; of one second the lower id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) created_at: u64,
    pub(super) id: Reverse<EventId>,
}

impl Version {
    pub(super) fn new(created_at: u64, id: EventId) -> Self {
        Self {
            created_at,
            id: Reverse(id),
        }
    }
}

/// Verifies one event unless that was done, stores it and carries out what it means. Cheapest checks first; a known id
/// is never verified.
pub(super) fn admit(
    tables: &mut impl Tables,
    event: &Event,
    verified: bool,
    now: Millis,
) -> Result<Put, StoreError> {
    if !KINDS.contains(&event.kind) {
        return Ok(Put::Invalid(Invalid::Kind));
    }
    match tables.known(&event.id)? {
        Known::Stored => return Ok(Put::Duplicate),
        Known::Gone if tables.is_tombstoned(&event.id, &event.pubkey)? => return Ok(Put::Deleted),
        Known::Gone => return Ok(Put::Superseded),
        Known::No => {}
    }
    if event.created_at.as_secs() > (now.0 / 1000).saturating_add(MAX_FUTURE_SECS) {
        return Ok(Put::Invalid(Invalid::Future));
    }
    if !verified
        && !tables.is_verified(event)
        && let Err(reason) = verify(event)
    {
        return Ok(Put::Invalid(reason));
    }
    let address = Address::of(event);
    if address
        .as_ref()
        .is_some_and(|address| address.identifier.len() > MAX_IDENTIFIER)
    {
        return Ok(Put::Invalid(Invalid::TooLarge));
    }
    // Also one that its author has asked to forget since: it may have been here before the request.
    if event.kind == Kind::ContactList {
        tables.saw_follow_list(event)?;
    }
    if let Some(until) = tables.vanished_until(&event.pubkey)?
        && event.created_at.as_secs() <= until
        && !is_lasting(event.kind)
    {
        tables.set_gone(&event.id)?;
        return Ok(Put::Deleted);
    }
    if !tables.has_room(event)? {
        if is_lasting(event.kind) {
            // What is stored here is removed all the same; only the request itself finds no room.
            remove_named(tables, event)?;
        }
        tables.set_gone(&event.id)?;
        return Ok(Put::NoRoom);
    }
    if event.kind == Kind::EventDeletion {
        delete(tables, event)?;
    } else if event.kind == Kind::RequestToVanish && social::vanishes_everywhere(event) {
        tables.vanish_until(&event.pubkey, event.created_at.as_secs())?;
    }
    if is_lasting(event.kind) {
        tables.insert(event)?;
        return Ok(Put::Stored);
    }
    // A deleted or expired version still displaces older ones, else what is shown would depend on which came first.
    let superseded = match &address {
        Some(address) => !displace(tables, address, event)?,
        None => false,
    };
    let forgotten = match &address {
        Some(address) => tables.forgotten_until(address)?,
        None => None,
    };
    if forgotten.is_some_and(|until| event.created_at.as_secs() <= until)
        || tables.is_tombstoned(&event.id, &event.pubkey)?
    {
        tables.set_gone(&event.id)?;
        Ok(Put::Deleted)
    } else if superseded {
        tables.set_gone(&event.id)?;
        Ok(Put::Superseded)
    } else if social::expiration(event).is_some_and(|at| at <= now.0 / 1000) {
        tables.set_gone(&event.id)?;
        Ok(Put::Expired)
    } else {
        tables.insert(event)?;
        Ok(Put::Stored)
    }
}

/// Carries out a deletion (NIP-09): its author's events, now and when they arrive later.
fn delete(tables: &mut impl Tables, deletion: &Event) -> Result<(), StoreError> {
    let author = &deletion.pubkey;
    for target in read_deletion(deletion) {
        tables.tombstone(&target, author)?;
        tables.retire(&target, author)?;
    }
    let until = deletion.created_at.as_secs();
    for address in named_addresses(deletion) {
        tables.forget_until(&address, until)?;
        if let Some(latest) = tables.latest(&address)?
            && latest.created_at <= until
        {
            tables.retire(&latest.id.0, author)?;
        }
    }
    Ok(())
}

/// The addresses that a deletion names and that may have something here.
fn named_addresses(deletion: &Event) -> impl Iterator<Item = Address> {
    let named = social::deleted_addresses(deletion).into_iter();
    named
        .map(|(kind, identifier)| Address {
            kind,
            author: deletion.pubkey,
            identifier,
        })
        .filter(|address| KINDS.contains(&address.kind) && address.identifier.len() <= MAX_IDENTIFIER)
}

/// Removes what a deletion or vanish request names and is stored, and keeps nothing of the request.
fn remove_named(tables: &mut impl Tables, request: &Event) -> Result<(), StoreError> {
    let author = &request.pubkey;
    if request.kind == Kind::RequestToVanish {
        if social::vanishes_everywhere(request) {
            tables.vanish_until(author, request.created_at.as_secs())?;
        }
        return Ok(());
    }
    for target in read_deletion(request) {
        tables.retire(&target, author)?;
    }
    for address in named_addresses(request) {
        if let Some(latest) = tables.latest(&address)?
            && latest.created_at <= request.created_at.as_secs()
        {
            tables.retire(&latest.id.0, author)?;
        }
    }
    Ok(())
}

/// Whether a replaceable event is the latest of its address; retires the one before.
fn displace(tables: &mut impl Tables, address: &Address, event: &Event) -> Result<bool, StoreError> {
    let version = Version::new(event.created_at.as_secs(), event.id);
    if let Some(latest) = tables.latest(address)? {
        if latest > version {
            return Ok(false);
        }
        tables.retire(&latest.id.0, &event.pubkey)?;
    }
    tables.set_latest(address, version)?;
    Ok(true)
}

pub(super) fn verify(event: &Event) -> Result<(), Invalid> {
    if !fits(event) {
        Err(Invalid::TooLarge)
    } else if !event.verify_id() {
        Err(Invalid::Id)
    } else if !event.verify_signature() {
        Err(Invalid::Signature)
    } else {
        Ok(())
    }
}

/// Whether the event's JSON is within [`MAX_EVENT_BYTES`]; counts without building it and stops at the limit.
fn fits(event: &Event) -> bool {
    struct Room(usize);
    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(MAX_EVENT_BYTES), event).is_ok()
}

/// The name that a profile event gives its author: white space and control characters folded, cut to
/// [`MAX_NAME_CHARS`]; `None` when nothing is left.
pub(super) fn shown_name(profile: &Event) -> Option<String> {
    social::shown_name(&read_profile(profile))
}

/// A page from at least `limit + 1` notes where there are as many: the one too many tells that it goes on.
pub(super) fn page(mut notes: Vec<Note>, limit: usize) -> Page {
    let more = notes.len() > limit;
    notes.truncate(limit);
    let next = if more {
        notes.last().map(Note::cursor)
    } else {
        None
    };
    Page { notes, next }
}

/// The part of a filter that [`super::Store::items`] looks at, bounded to what can be stored at all.
pub(super) struct Wanted {
    pub(super) kinds: Vec<Kind>,
    /// `None`: everybody.
    pub(super) authors: Option<Vec<PublicKey>>,
    /// Inclusive, in seconds.
    pub(super) since: u64,
    /// Inclusive, in seconds.
    pub(super) until: u64,
}

impl Wanted {
    pub(super) fn new(filter: &Filter) -> Self {
        debug_assert!(
            filter.ids.is_none()
                && filter.search.is_none()
                && filter.limit.is_none()
                && filter.generic_tags.is_empty(),
            "reconciliation knows kinds, authors, since and until only: {filter:?}"
        );
        // As in the `nostr` crate, an empty list means no restriction.
        let kinds = filter.kinds.as_ref().filter(|kinds| !kinds.is_empty());
        let authors = filter.authors.as_ref().filter(|authors| !authors.is_empty());
        Self {
            kinds: KINDS
                .into_iter()
                .filter(|kind| kinds.is_none_or(|kinds| kinds.contains(kind)))
                .collect(),
            authors: authors.map(|authors| authors.iter().copied().collect()),
            since: filter.since.map_or(0, |since| since.as_secs()),
            until: filter.until.map_or(u64::MAX, |until| until.as_secs()),
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn has_kind(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use nostr::prelude::{EventBuilder, FinalizeEvent, Keys};

    use super::*;

    fn profile(content: &str) -> Event {
        EventBuilder::new(Kind::Metadata, content)
            .finalize(&Keys::generate())
            .unwrap()
    }

    #[test]
    fn the_limit_of_size_is_exact() {
        let bare = serde_json::to_vec(&profile("")).unwrap().len();
        // The creation time has the same number of digits, so only the content counts.
        assert!(fits(&profile(&"x".repeat(MAX_EVENT_BYTES - bare))));
        assert!(!fits(&profile(&"x".repeat(MAX_EVENT_BYTES - bare + 1))));
        assert!(
            !fits(&profile(&"\u{1}".repeat(MAX_EVENT_BYTES / 6))),
            "escapes count as what they take"
        );
    }

    #[test]
    fn names_of_others_are_folded_and_cut() {
        let shown = |name: &str| shown_name(&profile(&serde_json::json!({ "name": name }).to_string()));
        assert_eq!(shown(" 波\u{0}\nの  音\t").as_deref(), Some("波 の 音"));
        assert_eq!(shown(" \u{0} "), None);
        assert_eq!(
            shown(&"🌊".repeat(social::MAX_NAME_CHARS + 9)),
            Some("🌊".repeat(social::MAX_NAME_CHARS))
        );
        assert_eq!(shown_name(&profile(r#"{"name":7}"#)), None);
    }

    #[test]
    fn of_one_second_the_lower_id_wins() {
        let id = |byte| EventId::from_byte_array([byte; 32]);
        assert!(Version::new(5, id(1)) > Version::new(5, id(2)));
        assert!(Version::new(6, id(2)) > Version::new(5, id(1)));
    }
}
