//! Any order of arrival, in any batches, leads to the same visible state.

use nostr::prelude::{Event, Filter, Keys, Kind};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::fixtures::{NOW, deletion, follows, note, person, profile};
use super::{Failure, Outcome, same};
use crate::store::{Known, Scope, Store};

/// Enough that breaking a rule shows, few enough for a browser.
const ORDERS: u64 = 120;

fn events(alice: &Keys, bob: &Keys) -> Vec<Event> {
    let (old_name, new_name) = (profile(alice, "old", 1), profile(alice, "new", 2));
    let (old_list, new_list) = (follows(alice, &[bob], 3), follows(alice, &[], 3));
    let (kept, deleted, foreign) = (
        note(alice, "kept", 4),
        note(alice, "deleted", 5),
        note(bob, "foreign", 6),
    );
    let bobs_name = profile(bob, "bob", 1);
    let request = deletion(alice, &[&deleted, &foreign], 7);
    let request_about_request = deletion(alice, &[&request, &new_name], 8);
    let bobs_request = deletion(bob, &[&kept, &bobs_name], 9);
    vec![
        old_name,
        new_name,
        old_list,
        new_list,
        kept,
        deleted,
        foreign,
        bobs_name,
        request,
        request_about_request,
        bobs_request,
    ]
}

/// Everything that can be seen of a store.
#[derive(Debug, PartialEq)]
struct Visible {
    pages: Vec<crate::store::Page>,
    items: Vec<crate::store::Item>,
    profiles: Vec<Option<Event>>,
    lists: Vec<(Option<Event>, Vec<crate::PublicKey>)>,
    counts: Vec<u64>,
    known: Vec<Known>,
}

fn look(store: &dyn Store, people: &[&Keys], events: &[Event]) -> Result<Visible, Failure> {
    let mut visible = Visible {
        pages: vec![store.timeline(Scope::Everyone, None, 99)?],
        items: store.items(&Filter::new())?,
        profiles: Vec::new(),
        lists: Vec::new(),
        counts: Vec::new(),
        known: Vec::new(),
    };
    for person in people {
        let key = person.public_key();
        visible
            .pages
            .push(store.timeline(Scope::FollowedBy(key), None, 99)?);
        visible.profiles.push(store.replaceable(&key, Kind::Metadata)?);
        visible
            .lists
            .push((store.replaceable(&key, Kind::ContactList)?, store.follows(&key)?));
        visible.counts.push(store.note_count(&key)?);
    }
    for event in events {
        visible.known.push(store.known(&event.id)?);
    }
    Ok(visible)
}

pub(super) fn any_order_ends_the_same<S: Store>(make: &mut impl FnMut() -> S) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let events = events(&alice, &bob);
    let mut expected = None;
    for seed in 0..ORDERS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut order: Vec<Event> = events.clone();
        if seed > 0 {
            order.shuffle(&mut random);
            // Some arrive twice.
            let again = order[random.random_range(0..order.len())].clone();
            order.insert(random.random_range(0..=order.len()), again);
        }
        let mut store = make();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(random.random_range(1..=rest.len()));
            store.put(batch, NOW)?;
            rest = later;
        }
        let visible = look(&store, &[&alice, &bob], &events)?;
        match &expected {
            None => {
                use Known::{Gone, Stored};
                let lists = if events[2].id < events[3].id {
                    [Stored, Gone]
                } else {
                    [Gone, Stored]
                };
                let known = [
                    Gone, Gone, lists[0], lists[1], Stored, Gone, Stored, Gone, Stored, Stored, Stored,
                ]
                .to_vec();
                same(&visible.known, &known, "in the order written")?;
                expected = Some(visible);
            }
            Some(expected) => same(&visible, expected, format_args!("seed {seed}"))?,
        }
    }
    Ok(())
}
