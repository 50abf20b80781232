//! Replies and threads (NIP-10).

use nostr::prelude::{Event, EventId, Keys};

use super::fixtures::{NOW, deletion, ids, note, person, reply};
use super::{Case, Failure, Outcome, ensure, same};
use crate::store::{Ancestor, Counts, Cursor, MAX_ANCESTORS, Scope, Store, Thread};

pub(super) const CASES: &[Case] = &[
    ("a thread shows what is above and below a note", above_and_below),
    ("a thread whose middle is missing", middle_missing),
    ("a thread of something that is not here", nothing_here),
    ("ancestors of a long thread are the nearest ones", long_chain),
    ("a thread is read page by page, oldest first", paged),
    ("a deleted reply is no longer counted", deleted_reply),
    (
        "replies stand on a person's page, not in everybody's timeline",
        in_timelines,
    ),
];

fn chain(people: [&Keys; 2], length: u64) -> Vec<Event> {
    let mut chain = vec![note(people[0], "root", 0)];
    for n in 1..length {
        let above = &chain[chain.len() - 1];
        chain.push(reply(people[n as usize % 2], above, &format!("reply {n}"), n));
    }
    chain
}

fn above(thread: &Thread) -> Vec<(EventId, bool)> {
    let each = thread.ancestors.iter().map(|ancestor| match ancestor {
        Ancestor::Note(note) => (note.id, true),
        Ancestor::Missing(id) => (*id, false),
    });
    each.collect()
}

fn below(thread: &Thread) -> Vec<EventId> {
    thread.replies.notes.iter().map(|note| note.id).collect()
}

fn above_and_below(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], 4);
    let aside = reply(&alice, &all[0], "aside", 9);
    let [root, a, b, c] = [&all[0], &all[1], &all[2], &all[3]];
    // Replies first: what they name arrives later.
    store.put(&[aside.clone(), c.clone(), b.clone()], NOW)?;
    store.put(&[a.clone(), root.clone()], NOW)?;
    let whole = store.thread(&root.id, None, 9)?;
    same(&above(&whole), &vec![], "above the root")?;
    same(&below(&whole), &ids(&[a, b, c, &aside]), "the whole thread")?;
    let middle = store.thread(&b.id, None, 9)?;
    same(&above(&middle), &vec![(root.id, true), (a.id, true)], "above")?;
    same(&middle.note.map(|note| note.id), &Some(b.id), "the note")?;
    same(&below(&store.thread(&b.id, None, 9)?), &ids(&[c]), "its replies")?;
    let counts = Counts {
        replies: 2,
        thread: 4,
        ..Counts::default()
    };
    same(&store.counts(&root.id)?, &counts, "counted of the root")?;
    same(
        &whole.note.map(|note| note.counts),
        &Some(counts),
        "shown with the root",
    )?;
    let counts = Counts {
        replies: 1,
        ..Counts::default()
    };
    same(&store.counts(&a.id)?, &counts, "counted of a reply")
}

fn middle_missing(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], 4);
    store.put(&all[3..], NOW)?;
    let expected = vec![(all[0].id, false), (all[2].id, false)];
    same(
        &above(&store.thread(&all[3].id, None, 9)?),
        &expected,
        "both are missing",
    )?;
    store.put(&all[..1], NOW)?;
    let expected = vec![(all[0].id, true), (all[2].id, false)];
    same(
        &above(&store.thread(&all[3].id, None, 9)?),
        &expected,
        "the root is here",
    )
}

fn nothing_here(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], 2);
    store.put(&all[1..], NOW)?;
    let thread = store.thread(&all[0].id, None, 9)?;
    same(&thread.note, &None, "the note")?;
    same(&below(&thread), &ids(&[&all[1]]), "what answers it is known")?;
    let nothing = store.thread(&EventId::from_byte_array([7; 32]), None, 9)?;
    same(&nothing, &Thread::default(), "of what nobody names")
}

fn long_chain(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], MAX_ANCESTORS as u64 + 10);
    store.put(&all, NOW)?;
    let last = all.len() - 1;
    let expected: Vec<_> = all[last - MAX_ANCESTORS..last]
        .iter()
        .map(|event| (event.id, true))
        .collect();
    same(
        &above(&store.thread(&all[last].id, None, 1)?),
        &expected,
        "the nearest",
    )
}

fn paged(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let root = note(&alice, "root", 0);
    let mut replies: Vec<Event> = (0..7)
        .map(|n| reply(&bob, &root, &format!("{n}"), 5 + n / 3))
        .collect();
    store.put(&replies, NOW)?;
    store.put(std::slice::from_ref(&root), NOW)?;
    replies.sort_by_key(|event| (event.created_at, std::cmp::Reverse(event.id)));
    let (mut after, mut found) = (None::<Cursor>, Vec::new());
    loop {
        let thread = store.thread(&root.id, after, 2)?;
        found.extend(below(&thread));
        after = thread.replies.next;
        if after.is_none() {
            break;
        }
        ensure(found.len() <= replies.len(), "pages come to their end")?;
    }
    same(
        &found,
        &replies.iter().map(|event| event.id).collect(),
        "page by page",
    )
}

fn deleted_reply(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], 2);
    store.put(&all, NOW)?;
    store.put(&[deletion(&bob, &[&all[1]], 9)], NOW)?;
    same(&store.counts(&all[0].id)?, &Counts::default(), "counted")?;
    same(&below(&store.thread(&all[0].id, None, 9)?), &vec![], "shown")
}

fn in_timelines(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let all = chain([&alice, &bob], 3);
    store.put(&all, NOW)?;
    let show = |scope| -> Result<Vec<EventId>, Failure> {
        let page = store.timeline(scope, None, 9)?;
        Ok(page.notes.iter().map(|note| note.id).collect())
    };
    let (a, b) = (alice.public_key(), bob.public_key());
    same(&show(Scope::Everyone)?, &ids(&[&all[0]]), "everybody")?;
    same(&show(Scope::FollowedBy(b))?, &vec![], "home")?;
    same(
        &show(Scope::Author(a))?,
        &ids(&[&all[2], &all[0]]),
        "all of a person",
    )?;
    same(&show(Scope::Posts(a))?, &ids(&[&all[0]]), "posts")?;
    same(&show(Scope::Replies(a))?, &ids(&[&all[2]]), "replies")?;
    same(&show(Scope::Replies(b))?, &ids(&[&all[1]]), "another's replies")
}
