//! Budgets, what takes the space, and the export.

use nostr::prelude::{Event, Keys};

use super::fixtures::{NOW, START, follows, note, person, profile};
use super::{Case, Failure, Outcome, ensure, same};
use crate::social::Ring;
use crate::store::{Budget, Cursor, Known, Put, Store, Usage};
use crate::time::Millis;

pub(super) const CASES: &[Case] = &[
    (
        "over its budget a ring's heaviest lose their oldest",
        heaviest_first,
    ),
    ("own events and those of other rings are not dropped", others_stay),
    ("what was dropped is not wanted again", not_wanted_again),
    ("what is too old for its ring is dropped", too_old),
    ("a flood ends within the budget", flood),
    ("a report of what takes the space", report),
    ("an export has every event once", export),
];

fn notes(keys: &Keys, from: u64, count: u64) -> Vec<Event> {
    (from..from + count)
        .map(|n| note(keys, &format!("note {n}"), n))
        .collect()
}

fn tidy(store: &mut dyn Store) -> Outcome {
    for _ in 0..100 {
        if !store.tidy(NOW)? {
            return Ok(());
        }
    }
    Err(Failure("tidying comes to its end".to_owned()))
}

fn limit(events: u64) -> Budget {
    Budget {
        events: Some(events),
        bytes: None,
        age: None,
    }
}

fn has(store: &dyn Store, event: &Event) -> Result<bool, Failure> {
    Ok(store.event(&event.id)?.is_some())
}

fn heaviest_first(store: &mut dyn Store) -> Outcome {
    let (me, loud, quiet) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let (many, few) = (notes(&loud, 10, 20), notes(&quiet, 1, 4));
    store.put(&many, NOW)?;
    store.put(&few, NOW)?;
    store.set_budget(Ring::Stranger, limit(14))?;
    tidy(store)?;
    for event in &few {
        ensure(
            has(store, event)?,
            "who takes little keeps all, though it is the oldest",
        )?;
    }
    let kept: Vec<bool> = many
        .iter()
        .map(|event| has(store, event))
        .collect::<Result<_, _>>()?;
    let first = kept.iter().position(|kept| *kept).unwrap_or(kept.len());
    ensure(kept[first..].iter().all(|kept| *kept), "the oldest went first")?;
    let left = kept.len() - first;
    ensure(
        (8..=10).contains(&left),
        format_args!("no more than needed: {left} are left"),
    )
}

fn others_stay(store: &mut dyn Store) -> Outcome {
    let (me, friend, stranger) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    store.put(&[follows(&me, &[&friend], 1), follows(&friend, &[&me], 1)], NOW)?;
    let (own, friends) = (notes(&me, 1, 12), notes(&friend, 1, 12));
    for events in [&own, &friends, &notes(&stranger, 1, 12)] {
        store.put(events, NOW)?;
    }
    for ring in Ring::ALL {
        store.set_budget(ring, limit(if ring == Ring::Friend { 99 } else { 0 }))?;
    }
    tidy(store)?;
    same(&store.note_count(&me.public_key())?, &12, "own")?;
    same(&store.note_count(&friend.public_key())?, &12, "a friend's")?;
    same(&store.note_count(&stranger.public_key())?, &0, "a stranger's")?;
    let late = note(&me, "late", 99);
    same(
        &store.put(std::slice::from_ref(&late), NOW)?,
        &vec![Put::Stored],
        "own are always taken",
    )?;
    let refused = store.put(&[note(&stranger, "late", 99)], NOW)?;
    same(&refused, &vec![Put::NoRoom], "a stranger's are not")
}

fn not_wanted_again(store: &mut dyn Store) -> Outcome {
    let (me, stranger) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let all = notes(&stranger, 1, 8);
    store.put(&all, NOW)?;
    store.take_changes();
    store.set_budget(Ring::Stranger, limit(2))?;
    tidy(store)?;
    same(&store.known(&all[0].id)?, &Known::Gone, "known")?;
    let removed = store.take_changes().removed;
    ensure(removed.iter().any(|entry| entry.item.id == all[0].id), "told")
}

fn too_old(store: &mut dyn Store) -> Outcome {
    let (me, stranger) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let (old, new, own) = (
        note(&stranger, "old", 1),
        note(&stranger, "new", 100),
        note(&me, "own", 1),
    );
    store.put(&[old.clone(), new.clone(), own.clone()], NOW)?;
    for ring in Ring::ALL {
        let age = NOW.0 / 1000 - START - 50;
        store.set_budget(
            ring,
            Budget {
                age: Some(age),
                ..Budget::UNLIMITED
            },
        )?;
    }
    tidy(store)?;
    let left = [has(store, &old)?, has(store, &new)?, has(store, &own)?];
    same(&left, &[false, true, true], "old, new, own")
}

fn flood(store: &mut dyn Store) -> Outcome {
    let (me, stranger, quiet) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    store.set_budget(Ring::Stranger, limit(10))?;
    let early = note(&quiet, "early", 0);
    store.put(std::slice::from_ref(&early), NOW)?;
    for batch in notes(&stranger, 1, 60).chunks(7) {
        store.put(batch, NOW)?;
        tidy(store)?;
    }
    let used = store
        .report()?
        .rings
        .into_iter()
        .find(|(ring, _)| *ring == Ring::Stranger);
    let events = used.map_or(0, |(_, used)| used.events);
    ensure(
        (1..=10).contains(&events),
        format_args!("{events} events in a budget of 10"),
    )?;
    ensure(has(store, &early)?, "the quiet one does not pay for the loud one")
}

fn report(store: &mut dyn Store) -> Outcome {
    let (me, other) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    store.put(&notes(&me, 1, 3), NOW)?;
    store.put(&notes(&other, 1, 5), NOW)?;
    store.put(&[profile(&other, "Other", 1)], NOW)?;
    let report = store.report()?;
    same(&report.events.events, &9, "events")?;
    let kinds: Vec<_> = report
        .kinds
        .iter()
        .map(|(kind, used)| (*kind, used.events))
        .collect();
    same(&kinds, &vec![(1, 8), (0, 1)], "kinds")?;
    let of = |wanted: Ring| {
        report
            .rings
            .iter()
            .find(|(ring, _)| *ring == wanted)
            .map(|(_, used)| used.events)
    };
    same(&(of(Ring::Me), of(Ring::Stranger)), &(Some(3), Some(6)), "rings")?;
    let people: Vec<_> = report
        .people
        .iter()
        .map(|(key, name, used)| (*key, name.as_deref(), used.events))
        .collect();
    let expected = vec![(other.public_key(), Some("Other"), 6), (me.public_key(), None, 3)];
    same(&people, &expected, "people, who takes most first")?;
    let sum = |all: &mut dyn Iterator<Item = Usage>| all.map(|used| used.bytes).sum::<u64>();
    same(
        &sum(&mut report.kinds.iter().map(|(_, used)| *used)),
        &report.events.bytes,
        "bytes of kinds",
    )?;
    same(
        &sum(&mut report.people.iter().map(|(.., used)| *used)),
        &report.events.bytes,
        "bytes of people",
    )
}

fn export(store: &mut dyn Store) -> Outcome {
    let mut all = notes(&person(1), 1, 5);
    all.extend(notes(&person(2), 3, 5));
    all.push(profile(&person(1), "One", 4));
    store.put(&all, NOW)?;
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let some = store.events_after(after, 3)?;
        let Some(last) = some.last() else {
            break;
        };
        after = Some(Cursor {
            created_at: last.created_at.as_secs(),
            id: last.id,
        });
        found.extend(some);
        ensure(found.len() <= all.len(), "it comes to its end")?;
        // What arrives meanwhile does not disturb it.
        store.put_verified(&[note(&person(3), "meanwhile", 0)], Millis(NOW.0))?;
    }
    let place = |event: &Event| (event.created_at, event.id);
    found.retain(|event| event.pubkey != person(3).public_key());
    found.sort_by_key(place);
    all.sort_by_key(place);
    same(&found, &all, "as it was signed")
}
