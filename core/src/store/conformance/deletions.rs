//! Deletion requests (NIP-09).

use nostr::prelude::{Event, EventId, Kind, Tag};

use super::fixtures::{NOW, START, deletion, follows, note, person, profile};
use super::{Case, Outcome, ensure, same};
use crate::store::{Known, Put, Scope, Store};

pub(super) const CASES: &[Case] = &[
    ("a deletion removes its author's notes and keeps them away", after),
    ("a deletion that comes first", before),
    (
        "a stranger's deletion has no effect, nor hides what is not here yet",
        by_another,
    ),
    ("a deletion of a deletion has no effect", of_a_deletion),
    ("a deleted profile and follow list", of_replaceables),
    (
        "a deleted version does not bring an older one back",
        older_version_stays_away,
    ),
    ("a deletion that names the same or nothing", odd_targets),
];

fn put(store: &mut dyn Store, event: &Event) -> Result<Put, super::Failure> {
    Ok(store.put(std::slice::from_ref(event), NOW)?.remove(0))
}

fn after(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let (one, two, kept) = (
        note(&keys, "one", 1),
        note(&keys, "two", 2),
        note(&keys, "kept", 3),
    );
    store.put(&[one.clone(), two.clone(), kept.clone()], NOW)?;
    let request = deletion(&keys, &[&one, &two], 4);
    same(
        &put(store, &request)?,
        &Put::Stored,
        "the deletion itself is kept, to be passed on",
    )?;
    for event in [&one, &two] {
        same(&store.known(&event.id)?, &Known::Gone, "known")?;
        same(&store.event(&event.id)?, &None, "event")?;
        same(&store.note(&event.id)?, &None, "note")?;
        same(&put(store, event)?, &Put::Deleted, "put again")?;
    }
    let shown: Vec<_> = store
        .timeline(Scope::Everyone, None, 9)?
        .notes
        .iter()
        .map(|note| note.id)
        .collect();
    same(&shown, &vec![kept.id], "shown")?;
    same(&store.note_count(&keys.public_key())?, &1, "count")?;
    same(
        &store.event(&request.id)?,
        &Some(request),
        "the deletion reads back",
    )
}

fn before(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "said too much", 5);
    same(
        &put(store, &deletion(&keys, &[&event], 1))?,
        &Put::Stored,
        "the deletion, with an older time even",
    )?;
    same(&put(store, &event)?, &Put::Deleted, "the note")?;
    same(&store.known(&event.id)?, &Known::Gone, "known")?;
    same(&store.timeline(Scope::Everyone, None, 9)?.notes, &vec![], "shown")?;
    same(&put(store, &event)?, &Put::Deleted, "the note again")
}

fn by_another(store: &mut dyn Store) -> Outcome {
    let (author, stranger) = (person(1), person(2));
    let (here, coming) = (note(&author, "here", 1), note(&author, "coming", 2));
    put(store, &here)?;
    same(
        &put(store, &deletion(&stranger, &[&here, &coming], 3))?,
        &Put::Stored,
        "the stranger's request",
    )?;
    same(&store.known(&here.id)?, &Known::Stored, "what is here stays")?;
    same(
        &store.known(&coming.id)?,
        &Known::No,
        "what is not here is still wanted",
    )?;
    same(&put(store, &coming)?, &Put::Stored, "and stored when it comes")?;
    put(store, &deletion(&author, &[&here], 4))?;
    same(
        &store.known(&here.id)?,
        &Known::Gone,
        "the author's own request holds",
    )
}

fn of_a_deletion(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "gone", 1);
    let first = deletion(&keys, &[&event], 2);
    let second = deletion(&keys, &[&first], 3);
    store.put(&[event.clone(), first.clone(), second], NOW)?;
    same(
        &store.known(&first.id)?,
        &Known::Stored,
        "the first deletion stays",
    )?;
    same(&put(store, &event)?, &Put::Deleted, "and holds")?;
    let late = deletion(&keys, &[], 4);
    put(store, &deletion(&keys, &[&late], 5))?;
    same(
        &put(store, &late)?,
        &Put::Stored,
        "also when it comes after the one that names it",
    )
}

fn of_replaceables(store: &mut dyn Store) -> Outcome {
    let (keys, friend) = (person(1), person(2));
    let (name, list) = (profile(&keys, "あおい", 1), follows(&keys, &[&friend], 1));
    let (mine, theirs) = (note(&keys, "mine", 1), note(&friend, "theirs", 2));
    store.put(&[name.clone(), list.clone(), mine.clone(), theirs], NOW)?;
    put(store, &deletion(&keys, &[&name, &list], 3))?;
    same(&store.profile(&keys.public_key())?, &None, "profile")?;
    same(&store.follows(&keys.public_key())?, &vec![], "follows")?;
    same(
        &store.replaceable(&keys.public_key(), Kind::ContactList)?,
        &None,
        "replaceable",
    )?;
    same(
        &store.note(&mine.id)?.and_then(|note| note.author_name),
        &None,
        "the name is forgotten",
    )?;
    let page = store.timeline(Scope::FollowedBy(keys.public_key()), None, 9)?;
    same(&page.notes.len(), &1, "only own notes")?;
    same(&put(store, &name)?, &Put::Deleted, "the profile again")?;
    same(
        &put(store, &profile(&keys, "葵", 4))?,
        &Put::Stored,
        "a new profile",
    )?;
    same(
        &store.note(&mine.id)?.and_then(|note| note.author_name).as_deref(),
        &Some("葵"),
        "the new name",
    )
}

fn older_version_stays_away(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let (old, new) = (profile(&keys, "old", 1), profile(&keys, "new", 2));
    // The deletion first, so that the newer version is never stored at all.
    put(store, &deletion(&keys, &[&new], 3))?;
    same(&put(store, &old)?, &Put::Stored, "the older")?;
    same(&put(store, &new)?, &Put::Deleted, "the newer")?;
    same(
        &store.profile(&keys.public_key())?,
        &None,
        "it took the older with it",
    )?;
    same(&put(store, &old)?, &Put::Superseded, "which does not come back")
}

fn odd_targets(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "twice named", 1);
    put(store, &event)?;
    let unknown = EventId::from_byte_array([9; 32]);
    let tags = [
        Tag::event(event.id),
        Tag::event(event.id),
        Tag::event(unknown),
        Tag::custom("e", ["not an id"]),
        Tag::custom("e", [""]),
        Tag::custom("a", ["0:zz:"]),
    ];
    let builder = nostr::prelude::EventBuilder::new(Kind::EventDeletion, "消して").tags(tags);
    let builder = builder.custom_created_at(nostr::prelude::Timestamp::from(START + 2));
    let request = nostr::prelude::FinalizeEvent::finalize(builder, &keys)
        .map_err(|error| super::Failure(error.to_string()))?;
    same(&put(store, &request)?, &Put::Stored, "put")?;
    same(&store.event(&request.id)?, &Some(request), "reads back as signed")?;
    same(&store.known(&event.id)?, &Known::Gone, "the note")?;
    same(&store.known(&unknown)?, &Known::No, "an id that was never seen")?;
    ensure(
        store.timeline(Scope::Everyone, None, 9)?.notes.is_empty(),
        "shown",
    )
}
