//! Pages of notes.

use nostr::prelude::{Event, EventId, Keys};

use super::fixtures::{NOW, by_id, deletion, follows, note, person, profile};
use super::{Case, Failure, Outcome, ensure, same};
use crate::store::{Cursor, Page, Put, Scope, Store};

pub(super) const CASES: &[Case] = &[
    ("pages go on where they ended, newest first", pages),
    ("pages tell notes of one second apart", one_second),
    ("pages are stable while notes come and go", stable),
    ("strange cursors and limits", strange_cursors),
    ("one person's notes", author),
    ("followed people's notes and own ones", followed),
    ("a long merge of followed people", long_merge),
];

/// Reads a scope to its end in pages of a size.
fn read_all(store: &dyn Store, scope: Scope, limit: usize) -> Result<Vec<EventId>, Failure> {
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let page = store.timeline(scope, before, limit)?;
        ensure(page.notes.len() <= limit, "a page is not longer than asked")?;
        ensure(
            page.next.is_none() || page.notes.len() == limit,
            "only the last page is short",
        )?;
        ids.extend(page.notes.iter().map(|note| note.id));
        ensure(ids.len() < 10_000, "the pages come to an end")?;
        let Some(next) = page.next else { return Ok(ids) };
        before = Some(next);
    }
}

fn put(store: &mut dyn Store, events: &[Event]) -> Outcome {
    let results = store.put(events, NOW)?;
    ensure(
        results.iter().all(|result| *result == Put::Stored),
        format_args!("stored: {results:?}"),
    )
}

fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

fn pages(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let mut notes: Vec<Event> = (0..20).map(|n| note(&keys, &format!("note {n}"), n)).collect();
    put(store, &notes[5..])?;
    put(store, &notes[..5])?;
    put(
        store,
        &[
            profile(&keys, "n", 99),
            follows(&keys, &[], 99),
            deletion(&keys, &[], 99),
        ],
    )?;
    notes.reverse();
    for limit in [1, 3, 7, 19, 20, 21] {
        same(
            &read_all(store, Scope::Everyone, limit)?,
            &ids(&notes),
            format_args!("pages of {limit}"),
        )?;
        same(
            &read_all(store, Scope::Author(keys.public_key()), limit)?,
            &ids(&notes),
            "of the author",
        )?;
        same(
            &read_all(store, Scope::FollowedBy(keys.public_key()), limit)?,
            &ids(&notes),
            "followed",
        )?;
    }
    let exact = store.timeline(Scope::Everyone, None, 20)?;
    ensure(exact.next.is_none(), "a page that holds all has no next one")
}

fn one_second(store: &mut dyn Store) -> Outcome {
    let people: Vec<Keys> = (1..=3).map(person).collect();
    let notes = (0..9usize)
        .map(|n| note(&people[n % 3], &format!("note {n}"), 7))
        .collect();
    let (notes, older) = (by_id(notes), note(&people[0], "older", 6));
    put(store, &notes)?;
    put(store, std::slice::from_ref(&older))?;
    put(store, &[follows(&people[0], &[&people[1], &people[2]], 1)])?;
    let mut expected = ids(&notes);
    expected.push(older.id);
    for limit in 1..=10 {
        same(
            &read_all(store, Scope::Everyone, limit)?,
            &expected,
            format_args!("pages of {limit}"),
        )?;
        let scope = Scope::FollowedBy(people[0].public_key());
        same(
            &read_all(store, scope, limit)?,
            &expected,
            format_args!("followed, pages of {limit}"),
        )?;
    }
    Ok(())
}

fn stable(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let notes: Vec<Event> = (0..10)
        .map(|n| note(&keys, &format!("note {n}"), 10 + n))
        .collect();
    put(store, &notes)?;
    for scope in [
        Scope::Everyone,
        Scope::Author(keys.public_key()),
        Scope::FollowedBy(keys.public_key()),
    ] {
        let first = store.timeline(scope, None, 4)?;
        let text = format!("arrives meanwhile {scope:?}");
        put(store, &[note(&keys, &text, 50), note(&keys, &text, 19)])?;
        let second = store.timeline(scope, first.next, 4)?;
        let found: Vec<_> = second.notes.iter().map(|note| note.id).collect();
        same(
            &found,
            &ids(&[
                notes[5].clone(),
                notes[4].clone(),
                notes[3].clone(),
                notes[2].clone(),
            ]),
            "second page",
        )?;
        // Make the next scope start from the same notes.
        let arrived: Vec<Event> = [50, 19].map(|second| note(&keys, &text, second)).to_vec();
        put(store, &[deletion(&keys, &arrived.iter().collect::<Vec<_>>(), 60)])?;
    }
    let first = store.timeline(Scope::Everyone, None, 4)?;
    put(store, &[deletion(&keys, &[&notes[6], &notes[5]], 61)])?;
    let second = store.timeline(Scope::Everyone, first.next, 2)?;
    let found: Vec<_> = second.notes.iter().map(|note| note.id).collect();
    same(
        &found,
        &vec![notes[4].id, notes[3].id],
        "a page continues after its last note was deleted",
    )
}

fn strange_cursors(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "one", 1);
    put(store, std::slice::from_ref(&event))?;
    let at = |created_at, byte| {
        Some(Cursor {
            created_at,
            id: EventId::from_byte_array([byte; 32]),
        })
    };
    for scope in [
        Scope::Everyone,
        Scope::Author(keys.public_key()),
        Scope::FollowedBy(keys.public_key()),
    ] {
        same(
            &store.timeline(scope, None, 0)?,
            &Page {
                notes: vec![],
                next: None,
            },
            "no notes asked",
        )?;
        same(
            &store.timeline(scope, None, usize::MAX)?.notes.len(),
            &1,
            "all notes asked",
        )?;
        same(
            &store.timeline(scope, at(u64::MAX, 0xff), 9)?.notes.len(),
            &1,
            "from the end of time",
        )?;
        same(
            &store.timeline(scope, at(0, 0), 9)?.notes.len(),
            &0,
            "from the beginning of time",
        )?;
        let here = event.created_at.as_secs();
        same(
            &store.timeline(scope, at(here, 0), 9)?.notes.len(),
            &1,
            "from a lower id of the same second",
        )?;
        same(
            &store.timeline(scope, at(here, 0xff), 9)?.notes.len(),
            &0,
            "from a higher id of the same second",
        )?;
        let itself = Cursor {
            created_at: here,
            id: event.id,
        };
        same(
            &store.timeline(scope, Some(itself), 9)?.notes.len(),
            &0,
            "strictly before",
        )?;
    }
    Ok(())
}

fn author(store: &mut dyn Store) -> Outcome {
    let (one, two, silent) = (person(1), person(2), person(3));
    let (first, second, third) = (
        note(&one, "first", 1),
        note(&two, "second", 2),
        note(&one, "third", 3),
    );
    put(store, &[first.clone(), second.clone(), third.clone()])?;
    let of = |keys: &Keys| Scope::Author(keys.public_key());
    same(
        &read_all(store, of(&one), 9)?,
        &vec![third.id, first.id],
        "of one",
    )?;
    same(&read_all(store, of(&two), 9)?, &vec![second.id], "of two")?;
    same(&read_all(store, of(&silent), 9)?, &vec![], "of somebody unknown")?;
    let counts = [&one, &two, &silent].map(|keys| store.note_count(&keys.public_key()));
    same(&counts, &[Ok(2), Ok(1), Ok(0)], "counts")
}

fn followed(store: &mut dyn Store) -> Outcome {
    let (me, friend, stranger) = (person(1), person(2), person(3));
    let (mine, theirs, other) = (
        note(&me, "mine", 1),
        note(&friend, "theirs", 2),
        note(&stranger, "other", 3),
    );
    put(store, &[mine.clone(), theirs.clone(), other.clone()])?;
    let scope = Scope::FollowedBy(me.public_key());
    same(
        &read_all(store, scope, 9)?,
        &vec![mine.id],
        "own notes without any follow list",
    )?;
    put(store, &[follows(&me, &[&friend], 4)])?;
    same(
        &read_all(store, scope, 1)?,
        &vec![theirs.id, mine.id],
        "one followed",
    )?;
    put(store, &[follows(&me, &[&stranger, &me, &friend], 5)])?;
    same(
        &read_all(store, scope, 2)?,
        &vec![other.id, theirs.id, mine.id],
        "who follows themselves is shown once",
    )?;
    put(store, &[follows(&me, &[], 6)])?;
    same(
        &read_all(store, scope, 9)?,
        &vec![mine.id],
        "nobody followed any longer",
    )?;
    same(
        &read_all(store, Scope::FollowedBy(friend.public_key()), 9)?,
        &vec![theirs.id],
        "as the friend sees it",
    )
}

fn long_merge(store: &mut dyn Store) -> Outcome {
    let people: Vec<Keys> = (1..=12).map(person).collect();
    // Uneven: each person writes at their own pace, often in the same second as others.
    let mut notes = Vec::new();
    for (n, keys) in people.iter().enumerate() {
        let pace = 1 + n as u64;
        notes.extend((0..8).map(|k| note(keys, &format!("{n} {k}"), 100 + k * pace)));
    }
    put(store, &notes)?;
    put(
        store,
        &[follows(&people[0], &people[1..11].iter().collect::<Vec<_>>(), 1)],
    )?;
    let stranger = people[11].public_key();
    notes.retain(|note| note.pubkey != stranger);
    notes.sort_by_key(|note| (std::cmp::Reverse(note.created_at), note.id));
    let scope = Scope::FollowedBy(people[0].public_key());
    for limit in [1, 5, 50, 200] {
        same(
            &read_all(store, scope, limit)?,
            &ids(&notes),
            format_args!("pages of {limit}"),
        )?;
    }
    Ok(())
}
