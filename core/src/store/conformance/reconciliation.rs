//! Items for NIP-77.

use nostr::prelude::{Event, Filter, Keys, Kind, Timestamp};

use super::fixtures::{NOW, START, by_id, deletion, follows, note, person, profile};
use super::{Case, Outcome, ensure, same};
use crate::store::{Item, Known, Store};

pub(super) const CASES: &[Case] = &[
    (
        "items are what a naive filter finds, ascending",
        like_a_naive_filter,
    ),
    ("items of one second stand by id", one_second),
];

fn like_a_naive_filter(store: &mut dyn Store) -> Outcome {
    let people: Vec<Keys> = (1..=4).map(person).collect();
    let mut events: Vec<Event> = Vec::new();
    for (n, keys) in people.iter().enumerate() {
        let n = n as u64;
        events.extend((0..6).map(|k| note(keys, &format!("{k}"), 10 + k * (n + 1))));
        events.extend([profile(keys, "old", n), profile(keys, "new", 20 + n)]);
        events.extend([follows(keys, &[&people[0]], 20), follows(keys, &[], 10)]);
        events.push(deletion(keys, &[&events[events.len() - 6]], 30 + n));
    }
    store.put(&events, NOW)?;
    let mut visible = Vec::new();
    for event in &events {
        if store.known(&event.id)? == Known::Stored {
            visible.push(event);
        }
    }
    // Per person: five of six notes, one profile, one follow list, one deletion.
    same(&visible.len(), &(4 * 8), "what is visible")?;

    let keys: Vec<_> = people.iter().map(Keys::public_key).collect();
    let stranger = person(9).public_key();
    let authors = [
        None,
        Some(vec![]),
        Some(vec![keys[1]]),
        Some(vec![keys[3], keys[0], stranger]),
        Some(vec![stranger]),
    ];
    let notes = vec![Kind::TextNote];
    let kinds = [
        None,
        Some(vec![]),
        Some(notes),
        Some(vec![Kind::Metadata, Kind::EventDeletion]),
        Some(vec![7.into()]),
    ];
    let times = [
        None,
        Some(0),
        Some(START + 10),
        Some(START + 20),
        Some(START + 33),
        Some(u64::MAX),
    ];
    for authors in &authors {
        for kinds in &kinds {
            for since in times {
                for until in times {
                    let mut filter = Filter::new();
                    filter.authors = authors.clone().map(|authors| authors.into_iter().collect());
                    filter.kinds = kinds.clone().map(|kinds| kinds.into_iter().collect());
                    filter.since = since.map(Timestamp::from);
                    filter.until = until.map(Timestamp::from);
                    let matching = visible.iter().filter(|event| {
                        authors
                            .as_ref()
                            .is_none_or(|list| list.is_empty() || list.contains(&event.pubkey))
                            && kinds
                                .as_ref()
                                .is_none_or(|list| list.is_empty() || list.contains(&event.kind))
                            && since.is_none_or(|since| event.created_at.as_secs() >= since)
                            && until.is_none_or(|until| event.created_at.as_secs() <= until)
                    });
                    let mut expected: Vec<_> = matching
                        .map(|event| Item {
                            created_at: event.created_at.as_secs(),
                            id: event.id,
                        })
                        .collect();
                    expected.sort_unstable();
                    same(&store.items(&filter)?, &expected, format_args!("{filter:?}"))?;
                }
            }
        }
    }
    Ok(())
}

fn one_second(store: &mut dyn Store) -> Outcome {
    let events = by_id((1..=8).map(|n| note(&person(n), "now", 5)).collect());
    store.put(&events, NOW)?;
    let items = store.items(&Filter::new())?;
    same(
        &items.iter().map(|item| item.id).collect::<Vec<_>>(),
        &events.iter().map(|event| event.id).collect(),
        "ids",
    )?;
    ensure(items.iter().all(|item| item.created_at == START + 5), "times")
}
