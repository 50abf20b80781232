//! Taking the corpus in, the way a node does: verified on every core, stored on one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nostr::prelude::{Event, Keys};
use sazanami_core::corpus::Plan;
use sazanami_core::social::{Ring, follows_event};
use sazanami_core::store::{self, Budget, Put, Store};
use sazanami_core::time::Millis;

/// Events in a transaction: what a session pulls at once.
pub const BATCH: usize = 500;
/// Verified batches that may wait for the store.
const AHEAD: usize = 4;
/// People whom the reader of the dense timeline follows (the target's number).
const FOLLOWED: usize = 200;
/// People whom the reader of the sparse timeline follows (the target's number).
const QUIET: usize = 50;

/// A clock that stands after the whole corpus.
pub fn after(plan: &Plan) -> Millis {
    Millis((plan.end() + 3_600) * 1_000)
}

/// Who reads in the benchmarks of timelines.
pub struct Readers {
    /// Follows 200 people, evenly from the busiest to the quietest.
    pub dense: Keys,
    /// Follows the 50 quietest.
    pub sparse: Keys,
}

impl Readers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self {
            dense: plan.reader(0),
            sparse: plan.reader(1),
        }
    }

    /// Their follow lists.
    pub fn follow_lists(&self, plan: &Plan) -> Vec<Event> {
        let people: Vec<_> = plan.people().iter().map(Keys::public_key).collect();
        let every = (people.len() / FOLLOWED).max(1);
        let evenly: Vec<_> = people.iter().step_by(every).take(FOLLOWED).copied().collect();
        let quiet = &people[people.len().saturating_sub(QUIET)..];
        let now = after(plan);
        vec![
            follows_event(&self.dense, &evenly, now),
            follows_event(&self.sparse, quiet, now),
        ]
    }
}

/// Verifies on every core and stores as fast as both go; answers how many were stored.
///
/// # Errors
/// When the store fails or an event is refused.
pub fn verified(store: &mut impl Store, events: &[Event], now: Millis) -> Result<usize> {
    // A million events of strangers are more than a device keeps of them.
    store.set_budget(Ring::Stranger, Budget::UNLIMITED)?;
    let batches: Vec<&[Event]> = events.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (sender, verified) = sync_channel(AHEAD);
        for _ in 0..threads {
            let (sender, batches, next) = (sender.clone(), &batches, &next);
            scope.spawn(move || {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let valid = batch.iter().all(|event| store::verify(event).is_ok());
                    if sender.send((*batch, valid)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut stored = 0;
        for (batch, valid) in verified {
            ensure!(valid, "an event of the corpus does not verify");
            for put in store.put_verified(batch, now)? {
                ensure!(
                    !matches!(put, Put::Invalid(_)),
                    "the store refused an event: {put:?}"
                );
                stored += usize::from(put == Put::Stored);
            }
            // A node looks at what changed after each transaction.
            store.take_changes();
        }
        Ok(stored)
    })
}

/// How long verifying alone takes on so many threads.
pub fn verifying(events: &[Event], threads: usize) -> Duration {
    let begun = Instant::now();
    thread::scope(|scope| {
        for part in events.chunks(events.len().div_ceil(threads)) {
            scope.spawn(|| assert!(part.iter().all(|event| store::verify(event).is_ok())));
        }
    });
    begun.elapsed()
}
