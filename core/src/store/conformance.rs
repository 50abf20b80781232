//! The behaviour that every [`Store`] shares, as plain synchronous code: it runs in a browser's worker as well, so
//! it reads no clock, starts no thread and touches no file.
//!
//! [`suite`] checks an empty store, [`durable`] one that is closed and opened again.

use std::fmt::Display;

use super::{Store, StoreError};

mod acts;
mod admission;
mod changes;
mod deletions;
mod finding;
pub mod fixtures;
mod forgetting;
#[cfg(feature = "sqlite")]
mod mending;
mod mutes;
mod notices;
mod orders;
mod people;
mod reconciliation;
mod reopening;
mod replaceables;
mod room;
mod search;
mod texts;
mod threads;
mod timelines;
pub mod world;

#[cfg(feature = "sqlite")]
pub use mending::{Breakable, mending};
pub use orders::same_state;

/// What a case found wrong, in words.
struct Failure(String);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("the store failed: {error}"))
    }
}

type Outcome = Result<(), Failure>;
/// A case on an empty store.
type Case = (&'static str, fn(&mut dyn Store) -> Outcome);

fn ensure(holds: bool, what: impl Display) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure(what.to_string()))
    }
}

#[track_caller]
fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, what: impl Display) -> Outcome {
    let line = std::panic::Location::caller();
    ensure(
        found == expected,
        format_args!("{what} ({line}):\n   found {found:?}\nexpected {expected:?}"),
    )
}

/// Runs every case. `make` gives an empty store; the one before has been dropped when it is called again.
///
/// # Panics
/// After all cases have run, with the names of those that failed and what they found.
pub fn suite<S: Store>(mut make: impl FnMut() -> S) {
    let groups = [
        admission::CASES,
        timelines::CASES,
        replaceables::CASES,
        deletions::CASES,
        reconciliation::CASES,
        finding::CASES,
        texts::CASES,
        forgetting::CASES,
        threads::CASES,
        acts::CASES,
        people::CASES,
        mutes::CASES,
        notices::CASES,
        search::CASES,
        room::CASES,
        changes::CASES,
    ];
    let mut failures = Vec::new();
    for (name, case) in groups.concat() {
        if let Err(Failure(what)) = case(&mut make()) {
            failures.push(format!("{name}: {what}"));
        }
    }
    if let Err(Failure(what)) = orders::any_order_ends_the_same(&mut || make()) {
        failures.push(format!("any order ends the same: {what}"));
    }
    assert!(
        failures.is_empty(),
        "{} store cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Checks that a closed store is found again. Each call of `open` opens the same database, empty at first; the store
/// opened before has been dropped.
///
/// # Panics
/// With what was lost.
pub fn durable<S: Store>(mut open: impl FnMut() -> S) {
    if let Err(Failure(what)) = reopening::all_is_found_again(&mut open) {
        panic!("a reopened store: {what}");
    }
}
