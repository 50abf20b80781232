//! What is to be forgotten besides single events: addresses (NIP-09, `a` tags), everything of somebody (NIP-62), what
//! has its time (NIP-40).

use nostr::prelude::{Event, Kind};

use super::fixtures::{NOW, START, at, deletion, follows, note, person, profile, reaction};
use super::world::tagged;
use super::{Case, Failure, Outcome, ensure, same};
use crate::social;
use crate::store::{Known, Put, Scope, Store};
use crate::time::Millis;

pub(super) const CASES: &[Case] = &[
    ("a deleted address loses its versions up to then", address),
    ("a deletion of an address that comes first", address_first),
    ("nobody deletes another's address", address_of_another),
    (
        "a vanish request removes everything until then and keeps it away",
        vanish,
    ),
    ("a vanish request that comes first", vanish_first),
    ("a vanish request to one relay has no effect", vanish_elsewhere),
    ("a vanish request cannot be deleted", vanish_stays),
    ("what has expired is not stored", expired),
    ("what expires is dropped in its time", expires),
    (
        "an expired version does not bring an older one back",
        expired_version,
    ),
];

fn put(store: &mut dyn Store, event: &Event) -> Result<Put, Failure> {
    Ok(store.put(std::slice::from_ref(event), NOW)?.remove(0))
}

fn address(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let (old, present) = (profile(&alice, "old", 1), profile(&alice, "present", 3));
    put(store, &present)?;
    let request = social::deletion_of(&alice, std::slice::from_ref(&present), at(5));
    same(&put(store, &request)?, &Put::Stored, "the deletion")?;
    let key = alice.public_key();
    same(&store.replaceable(&key, Kind::Metadata)?, &None, "it is gone")?;
    ensure(put(store, &old)? != Put::Stored, "an older version")?;
    ensure(
        put(store, &profile(&alice, "same moment", 5))? != Put::Stored,
        "one of that moment",
    )?;
    same(
        &store.replaceable(&key, Kind::Metadata)?,
        &None,
        "nothing comes back",
    )?;
    let newer = profile(&alice, "newer", 6);
    same(&put(store, &newer)?, &Put::Stored, "a newer one")?;
    same(
        &store.replaceable(&key, Kind::Metadata)?,
        &Some(newer),
        "it counts",
    )
}

fn address_first(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let list = social::list_event(&alice, "near", "", &[], at(3));
    put(
        store,
        &social::deletion_of(
            &alice,
            std::slice::from_ref(&social::list_event(&alice, "near", "", &[], at(1))),
            at(5),
        ),
    )?;
    same(&put(store, &list)?, &Put::Deleted, "the list")?;
    same(&store.known(&list.id)?, &Known::Gone, "known")?;
    let other = social::list_event(&alice, "far", "", &[], at(3));
    same(&put(store, &other)?, &Put::Stored, "another list")
}

fn address_of_another(store: &mut dyn Store) -> Outcome {
    let (alice, eve) = (person(1), person(2));
    let list = follows(&alice, &[&eve], 3);
    put(
        store,
        &social::deletion_of(&eve, std::slice::from_ref(&list), at(5)),
    )?;
    same(&put(store, &list)?, &Put::Stored, "the list")?;
    put(
        store,
        &social::deletion_of(&eve, std::slice::from_ref(&list), at(6)),
    )?;
    same(&store.follows(&alice.public_key())?.len(), &1, "still there")
}

fn vanish(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let (note1, note2) = (note(&alice, "old", 1), note(&alice, "of that moment", 5));
    let (later, bobs) = (note(&alice, "later", 6), note(&bob, "bob's", 1));
    let gone = [
        note1.clone(),
        note2,
        profile(&alice, "Alice", 2),
        reaction(&alice, &bobs, "+", 3),
    ];
    store.put(&gone, NOW)?;
    store.put(&[later.clone(), bobs.clone()], NOW)?;
    let request = social::vanish_event(&alice, "", at(5));
    same(
        &put(store, &request)?,
        &Put::Stored,
        "the request is kept, to be passed on",
    )?;
    for event in &gone {
        same(&store.event(&event.id)?, &None, "gone")?;
        same(&store.known(&event.id)?, &Known::Gone, "known")?;
        ensure(put(store, event)? != Put::Stored, "put again")?;
    }
    same(
        &put(store, &note(&alice, "late old", 4))?,
        &Put::Deleted,
        "an old one that comes late",
    )?;
    let shown = store.timeline(Scope::Everyone, None, 9)?.notes;
    let shown: Vec<_> = shown.iter().map(|note| note.id).collect();
    same(&shown, &vec![later.id, bobs.id], "what is left")?;
    same(&store.counts(&bobs.id)?.reactions, &0, "counted")?;
    same(&store.profile(&alice.public_key())?, &None, "the profile")?;
    same(&store.event(&request.id)?, &Some(request), "the request")
}

fn vanish_first(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    put(store, &social::vanish_event(&alice, "", at(5)))?;
    // An older request takes nothing back.
    put(store, &social::vanish_event(&alice, "", at(2)))?;
    same(&put(store, &note(&alice, "old", 4))?, &Put::Deleted, "old")?;
    same(&put(store, &note(&alice, "new", 6))?, &Put::Stored, "new")?;
    same(
        &put(store, &note(&person(2), "another's", 4))?,
        &Put::Stored,
        "another's",
    )
}

fn vanish_elsewhere(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let kept = note(&alice, "kept", 1);
    put(store, &kept)?;
    let request = tagged(
        &alice,
        Kind::RequestToVanish,
        "",
        vec![
            vec!["relay", "wss://relay.example"],
            vec!["p", "ALL_RELAYS"],
            vec!["relay"],
        ],
        at(5),
    );
    put(store, &request)?;
    same(&store.event(&kept.id)?, &Some(kept), "still there")
}

fn vanish_stays(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let request = social::vanish_event(&alice, "", at(5));
    put(store, &request)?;
    put(store, &deletion(&alice, &[&request], 6))?;
    same(&store.event(&request.id)?.is_some(), &true, "the request")?;
    put(store, &social::vanish_event(&alice, "", at(7)))?;
    same(
        &store.event(&request.id)?.is_some(),
        &true,
        "after another request",
    )?;
    same(
        &put(store, &note(&alice, "old", 4))?,
        &Put::Deleted,
        "it still holds",
    )
}

fn ending(second: u64, text: &str, created: u64) -> Event {
    let end = (START + second).to_string();
    tagged(
        &person(1),
        Kind::TextNote,
        text,
        vec![vec!["expiration", &end]],
        at(created),
    )
}

fn expired(store: &mut dyn Store) -> Outcome {
    let over = ending(10, "over", 1);
    same(&put(store, &over)?, &Put::Expired, "put")?;
    same(&store.event(&over.id)?, &None, "not there")?;
    ensure(store.known(&over.id)? != Known::Stored, "known")?;
    let odd = tagged(
        &person(1),
        Kind::TextNote,
        "odd",
        vec![vec!["expiration", "soon"]],
        at(1),
    );
    same(&put(store, &odd)?, &Put::Stored, "no time at all")
}

fn expires(store: &mut dyn Store) -> Outcome {
    let end = NOW.0 / 1000 - START + 60;
    let (short, long) = (ending(end, "short #brief", 1), note(&person(1), "long", 2));
    store.put(&[short.clone(), long.clone()], NOW)?;
    while store.tidy(NOW)? {}
    same(&store.event(&short.id)?.is_some(), &true, "before its time")?;
    store.take_changes();
    while store.tidy(Millis(NOW.0 + 60_000))? {}
    same(&store.event(&short.id)?, &None, "after it")?;
    same(&store.known(&short.id)?, &Known::Gone, "not wanted again")?;
    same(&store.hashtag("brief", None, 9)?.notes, &vec![], "by its hashtag")?;
    same(&store.note_count(&person(1).public_key())?, &1, "counted")?;
    let removed: Vec<_> = store
        .take_changes()
        .removed
        .iter()
        .map(|entry| entry.item.id)
        .collect();
    same(&removed, &vec![short.id], "told")
}

fn expired_version(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let over = tagged(&alice, Kind::MuteList, "", vec![vec!["expiration", "1"]], at(5));
    same(&put(store, &over)?, &Put::Expired, "the newer one")?;
    let old = tagged::<&str>(&alice, Kind::MuteList, "", vec![], at(1));
    same(&put(store, &old)?, &Put::Superseded, "the older one")?;
    same(
        &store.replaceable(&alice.public_key(), Kind::MuteList)?,
        &None,
        "neither",
    )
}
