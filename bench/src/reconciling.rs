//! Reconciliation messages alone, without sessions.

use std::time::Instant;

use anyhow::{Result, ensure};
use sazanami_core::store::Item;
use sazanami_core::sync::{ItemSet, reconcile};

use crate::report::figure;

/// Reconciles two sets, of which the side that asks has the second, a part of the first; prints what that takes with
/// messages of at most `limit` bytes.
///
/// # Errors
/// When not all that is missing is found.
pub fn measure(what: &str, all: &[Item], part: &[Item], limit: usize) -> Result<()> {
    let missing = all.len() - part.len();
    let (all, part) = (ItemSet::new(all.to_vec()), ItemSet::new(part.to_vec()));
    let begun = Instant::now();
    let (mut trips, mut bytes, mut largest, mut need) = (0, 0, 0, 0);
    let mut message = Some(reconcile::initiate(&part));
    while let Some(asked) = message {
        let answer = reconcile::respond(&all, &asked, limit)?;
        trips += 1;
        bytes += asked.len() + answer.len();
        largest = largest.max(asked.len()).max(answer.len());
        if reconcile::is_equal(&answer) {
            break;
        }
        let learnt = reconcile::learn(&part, &answer, limit)?;
        need += learnt.need.len();
        message = learnt.next;
    }
    let took = begun.elapsed();
    ensure!(need == missing, "{need} of {missing} differences were found");
    figure(format!("{what}/round trips"), f64::from(trips), "round trips");
    figure(format!("{what}/bytes"), bytes as f64, "bytes");
    figure(format!("{what}/largest message"), largest as f64, "bytes");
    figure(format!("{what}/time"), took.as_secs_f64() * 1e3, "ms");
    Ok(())
}
