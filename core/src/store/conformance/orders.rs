//! Any order of arrival, in any batches, leads to the same visible state; and every store shows what the others show.

use nostr::prelude::Event;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::fixtures::NOW;
use super::world::{Seen, World};
use super::{Failure, Outcome};
use crate::store::{MemoryStore, Store};
use crate::time::Millis;

/// Enough that breaking a rule shows, few enough for a browser.
const WORLDS: u64 = 6;
const ORDERS: u64 = 4;
/// When everything that ends has ended.
const LATER: Millis = Millis(NOW.0 + 3_600_000);

pub(super) fn any_order_ends_the_same<S: Store>(make: &mut impl FnMut() -> S) -> Outcome {
    for seed in 0..WORLDS {
        let world = World::new(seed);
        let expected = after(
            &world,
            &world.events,
            &mut StdRng::seed_from_u64(0),
            &mut MemoryStore::new(),
        )?;
        for order in 0..ORDERS {
            let mut random = StdRng::seed_from_u64(order);
            let mut events = world.events.clone();
            if order > 0 {
                events.shuffle(&mut random);
            }
            let seen = after(&world, &events, &mut random, &mut make())?;
            for (seen, expected) in seen.iter().zip(&expected) {
                seen.is(expected, format_args!("world {seed}, order {order}"))?;
            }
        }
    }
    Ok(())
}

/// What is seen when the events have arrived in this order, and when some of them have ended.
fn after(
    world: &World,
    events: &[Event],
    random: &mut StdRng,
    store: &mut dyn Store,
) -> Result<[Seen; 2], Failure> {
    store.set_me(Some(world.me()))?;
    let mut rest = events;
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(random.random_range(1..=rest.len()));
        store.put(batch, NOW)?;
        // Some arrive twice.
        let again = random.random_range(0..events.len() - later.len());
        store.put(&events[again..=again], NOW)?;
        rest = later;
    }
    let before = world.look(store)?;
    while store.tidy(LATER)? {}
    Ok([before, world.look(store)?])
}

/// What two stores show of the same events, each in its own order.
///
/// # Panics
/// When they differ, with the first answer in which they do.
pub fn same_state(
    world: &World,
    one: (&[Event], &mut dyn Store),
    other: (&[Event], &mut dyn Store),
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut look = |(events, store): (&[Event], &mut dyn Store)| {
        after(world, events, &mut random, store)
            .unwrap_or_else(|Failure(what)| panic!("world {}: {what}", world.seed))
    };
    let (one, other) = (look(one), look(other));
    for (one, other) in one.iter().zip(&other) {
        if let Err(Failure(what)) = one.is(other, format_args!("world {}, batches {seed}", world.seed)) {
            panic!("{what}");
        }
    }
}
