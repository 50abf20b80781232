//! Filters of clients that speak plain Nostr.

use std::cmp::Reverse;

use nostr::prelude::{Event, EventId, Filter, Keys, Kind, MatchEventOptions, SingleLetterTag, Timestamp};

use super::fixtures::{NOW, START, deletion, follows, note, person, profile, reaction, reply, repost};
use super::{Case, Outcome, ensure, same};
use crate::store::{Item, Known, Store};

pub(super) const CASES: &[Case] = &[
    (
        "any filter finds what a naive one finds, newest first",
        like_a_naive_filter,
    ),
    (
        "little effort finds no more than there is, and says so",
        little_effort,
    ),
];

/// Events of every kind of relation, some superseded and some deleted.
fn world() -> Vec<Event> {
    let people: Vec<Keys> = (1..=4).map(person).collect();
    let mut events: Vec<Event> = Vec::new();
    for (n, keys) in people.iter().enumerate() {
        let n = n as u64;
        events.extend((0..8).map(|k| note(keys, &format!("{k}"), 10 + k * (n + 1))));
        events.extend([profile(keys, "old", n), profile(keys, "new", 20 + n)]);
        events.push(follows(keys, &[&people[0], &people[1]], 20));
        let (first, last) = (events[0].clone(), events[events.len() - 6].clone());
        events.push(reply(keys, &first, "reply", 50 + n));
        events.push(reaction(keys, &first, "+", 60 + n));
        events.push(repost(keys, &last, 70 + n));
        events.push(deletion(keys, &[&events[events.len() - 10]], 80 + n));
    }
    events
}

fn filters(events: &[Event]) -> Vec<Filter> {
    let (one, two, stranger) = (
        person(1).public_key(),
        person(2).public_key(),
        person(9).public_key(),
    );
    let first = events[0].id;
    // The kind that a deletion is of.
    let k = SingleLetterTag::from_char('k').expect("a letter");
    let some = |kinds: &[u16]| Filter::new().kinds(kinds.iter().map(|kind| Kind::from(*kind)));
    vec![
        Filter::new(),
        some(&[1]),
        some(&[0, 3]),
        some(&[0, 1]),
        some(&[7, 4_242]),
        some(&[4_242]),
        Filter::new().author(one),
        some(&[0]).authors([one, two, stranger]),
        some(&[0, 1, 6]).authors([one, two]),
        Filter::new().author(stranger),
        Filter::new().ids([first, events[3].id, EventId::from_byte_array([9; 32])]),
        Filter::new().ids([first, events[20].id]).author(two),
        Filter::new().event(first),
        Filter::new().event(first).kind(Kind::Reaction),
        Filter::new().events([first, events[5].id]).author(two),
        Filter::new().pubkey(one),
        Filter::new().pubkeys([one, two]).kind(Kind::ContactList),
        Filter::new().pubkey(one).event(first),
        Filter::new().custom_tag(k, "1"),
        Filter::new().hashtag("nothing"),
    ]
}

fn like_a_naive_filter(store: &mut dyn Store) -> Outcome {
    let events = world();
    store.put(&events, NOW)?;
    let mut visible = Vec::new();
    for event in &events {
        if store.known(&event.id)? == Known::Stored {
            visible.push(event);
        }
    }
    ensure(visible.len() < events.len(), "something is gone")?;
    let times = [
        (None, None),
        (Some(15), None),
        (None, Some(40)),
        (Some(20), Some(61)),
        (Some(50), Some(40)),
    ];
    let second = |at: Option<u64>| at.map(|at| Timestamp::from(START + at));
    for filter in filters(&events) {
        for (since, until) in times {
            let filter = Filter {
                since: second(since),
                until: second(until),
                ..filter.clone()
            };
            let matching = visible.iter();
            let matching = matching.filter(|event| filter.match_event(event, MatchEventOptions::new()));
            let mut expected: Vec<Item> = matching
                .map(|event| Item {
                    created_at: event.created_at.as_secs(),
                    id: event.id,
                })
                .collect();
            expected.sort_unstable_by_key(|item| (Reverse(item.created_at), item.id));
            for limit in [0, 1, 3, 1_000] {
                let mut effort = 100_000;
                let found = store.find(&filter, limit, &mut effort)?;
                let most = limit.min(expected.len());
                same(
                    &found,
                    &expected[..most].to_vec(),
                    format_args!("{filter:?} {limit}"),
                )?;
                ensure(effort > 0, "there is effort left")?;
            }
        }
    }
    Ok(())
}

fn little_effort(store: &mut dyn Store) -> Outcome {
    let events = world();
    store.put(&events, NOW)?;
    for filter in filters(&events) {
        let all = store.find(&filter, 1_000, &mut 100_000)?;
        for most in 1..40 {
            let mut effort = most;
            let found = store.find(&filter, 1_000, &mut effort)?;
            ensure(
                found.iter().all(|item| all.contains(item)),
                format_args!("{filter:?} found {found:?}"),
            )?;
            ensure(
                effort == 0 || found == all,
                format_args!("{filter:?} is said to be complete with {most}"),
            )?;
        }
    }
    Ok(())
}
