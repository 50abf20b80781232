//! The change feed: which queries have another answer now.

use nostr::prelude::{Event, Kind};

use super::fixtures::{NOW, at, deletion, follows, note, person, profile, reaction, reply, repost};
use super::world::tagged;
use super::{Case, Outcome, ensure, same};
use crate::social;
use crate::store::{Query, Store};

pub(super) const CASES: &[Case] = &[
    ("what is added and removed is told once", added_and_removed),
    ("each event tells the queries that it changes", queries),
    ("so does its removal", removal),
    (
        "a note that arrives after its repost changes the reposter's page",
        repost_first,
    ),
    ("what is refused changes nothing", refused),
];

fn added_and_removed(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let one = note(&alice, "one", 1);
    store.put(&[one.clone(), one.clone()], NOW)?;
    let changes = store.take_changes();
    same(
        &changes.added.iter().map(|entry| entry.item.id).collect(),
        &vec![one.id],
        "added",
    )?;
    same(&changes.removed, &vec![], "removed")?;
    let again = store.take_changes();
    same(
        &(again.added, again.removed, again.queries.len()),
        &(vec![], vec![], 0),
        "told once",
    )?;
    let request = deletion(&alice, &[&one], 2);
    store.put(std::slice::from_ref(&request), NOW)?;
    let changes = store.take_changes();
    same(
        &changes.added.iter().map(|entry| entry.item.id).collect(),
        &vec![request.id],
        "added",
    )?;
    same(
        &changes.removed.iter().map(|entry| entry.item.id).collect(),
        &vec![one.id],
        "removed",
    )
}

fn check(store: &mut dyn Store, event: &Event, expected: &[Query]) -> Outcome {
    let told = store.take_changes().queries;
    for query in expected {
        ensure(
            told.contains(query),
            format_args!("kind {}: {query:?} is not among {told:?}", event.kind),
        )?;
    }
    ensure(
        !told.contains(&Query::Everything),
        format_args!("kind {}: a single event does not change everything", event.kind),
    )
}

fn each() -> Vec<(Event, Vec<Query>)> {
    let (me, bob) = (person(1), person(2));
    let (mine, key) = (note(&me, "mine #Sea", 1), bob.public_key());
    let answer = reply(&bob, &mine, "answer", 2);
    let below = reply(&me, &answer, "below", 3);
    vec![
        (
            mine.clone(),
            vec![
                Query::Notes(me.public_key()),
                Query::Thread(mine.id),
                Query::Hashtag("sea".to_owned()),
            ],
        ),
        (
            answer.clone(),
            vec![
                Query::Notes(key),
                Query::Thread(mine.id),
                Query::Counts(mine.id),
                Query::Notifications,
            ],
        ),
        (
            below,
            vec![
                Query::Thread(mine.id),
                Query::Thread(answer.id),
                Query::Counts(answer.id),
                Query::Counts(mine.id),
            ],
        ),
        (
            repost(&bob, &mine, 4),
            vec![Query::Notes(key), Query::Counts(mine.id), Query::Notifications],
        ),
        (
            reaction(&bob, &mine, "+", 5),
            vec![Query::Counts(mine.id), Query::Notifications],
        ),
        (
            social::quote_event(&bob, &mine, String::new(), at(6)),
            vec![Query::Notes(key), Query::Counts(mine.id), Query::Notifications],
        ),
        (profile(&bob, "Bob", 7), vec![Query::Profile(key)]),
        (
            follows(&bob, &[&me], 8),
            vec![Query::Follows(key), Query::Notifications],
        ),
        (
            tagged(&me, Kind::MuteList, "", vec![vec!["word", "x"]], at(9)),
            vec![Query::Mutes],
        ),
        (
            social::list_event(&bob, "near", "", &[], at(10)),
            vec![Query::Lists(key)],
        ),
    ]
}

fn queries(store: &mut dyn Store) -> Outcome {
    store.set_me(Some(person(1).public_key()))?;
    store.take_changes();
    for (event, expected) in each() {
        store.put(std::slice::from_ref(&event), NOW)?;
        check(store, &event, &expected)?;
    }
    Ok(())
}

fn removal(store: &mut dyn Store) -> Outcome {
    store.set_me(Some(person(1).public_key()))?;
    let all = each();
    for (event, _) in &all {
        store.put(std::slice::from_ref(event), NOW)?;
    }
    store.take_changes();
    for (event, expected) in all.into_iter().rev() {
        let author = if event.pubkey == person(1).public_key() {
            person(1)
        } else {
            person(2)
        };
        store.put(&[deletion(&author, &[&event], 20)], NOW)?;
        check(store, &event, &expected)?;
    }
    Ok(())
}

fn repost_first(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let post = note(&alice, "post", 1);
    store.put(&[repost(&bob, &post, 2)], NOW)?;
    store.take_changes();
    store.put(std::slice::from_ref(&post), NOW)?;
    check(
        store,
        &post,
        &[Query::Notes(alice.public_key()), Query::Notes(bob.public_key())],
    )
}

fn refused(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let mut forged = note(&alice, "forged", 1);
    forged.content.push('!');
    let old = profile(&alice, "old", 1);
    store.put(&[profile(&alice, "new", 2)], NOW)?;
    store.take_changes();
    store.put(&[forged, old], NOW)?;
    let changes = store.take_changes();
    same(&(changes.added, changes.removed), &(vec![], vec![]), "events")?;
    same(&changes.queries.is_empty(), &true, "queries")
}
