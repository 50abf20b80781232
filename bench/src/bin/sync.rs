//! What syncing costs, in memory: reconciliation alone, and whole sessions between two SQLite stores.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nostr::prelude::{EventId, Filter};
use sazanami_bench::report::figure;
use sazanami_bench::{corpus, ingest, session};
use sazanami_core::social::KINDS;
use sazanami_core::store::{Item, SqliteStore, Store};
use sazanami_core::sync::{ItemSet, reconcile};

/// Items that differ in the scattered case (the target's number).
const SCATTERED: usize = 1_000;

/// Figures of syncing.
#[derive(Parser)]
struct Args {
    /// How many events
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Where corpora are kept
    #[arg(long, default_value = "target/bench")]
    corpora: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let file = corpus::file(&args.corpora, args.events)?;
    let plan = corpus::plan(args.events);
    let mut events = corpus::read(&file, args.events)?;
    events.retain(|event| KINDS.contains(&event.kind));
    let now = ingest::after(&plan);
    let mut full = SqliteStore::in_memory()?;
    ingest::verified(&mut full, &events, now)?;
    let items = full.items(&Filter::new())?;
    let every = items.len() / SCATTERED;
    let scattered: Vec<EventId> = items.iter().step_by(every.max(1)).map(|item| item.id).collect();
    let one = items.get(items.len() / 2).context("an empty store")?.id;

    for (name, missing) in [
        ("equal", [].as_slice()),
        ("1 differs", &[one]),
        ("1000 differ", &scattered),
    ] {
        let name = format!("{}, {name}", args.events);
        reconciling(&name, &items, missing)?;
    }

    // Removed in one order or another, what remains is the same: those not missing.
    for (name, missing) in [
        ("into an empty peer", None),
        ("equal", Some([].as_slice())),
        ("1 differs", Some([one].as_slice())),
        ("1000 differ", Some(scattered.as_slice())),
    ] {
        let mut other = SqliteStore::in_memory()?;
        if let Some(missing) = missing {
            let kept: Vec<_> = events
                .iter()
                .filter(|event| !missing.contains(&event.id))
                .cloned()
                .collect();
            ingest::verified(&mut other, &kept, now)?;
        }
        let before = other.items(&Filter::new())?.len();
        let outcome = session::sync(full, other, now)?;
        full = outcome.full;
        let after = outcome.other.items(&Filter::new())?.len();
        ensure!(after >= items.len(), "{after} of {} events arrived", items.len());
        let (what, seconds) = (format!("session/{name}"), outcome.took.as_secs_f64());
        figure(format!("{what}/time"), seconds * 1e3, "ms");
        figure(format!("{what}/bytes"), outcome.bytes as f64, "bytes");
        figure(format!("{what}/turns"), outcome.turns as f64, "turns");
        if missing.is_none() {
            figure(
                format!("{what}/rate"),
                (after - before) as f64 / seconds,
                "events/s",
            );
        }
    }
    Ok(())
}

/// Reconciliation messages alone: the side that asks lacks some items.
fn reconciling(name: &str, items: &[Item], missing: &[EventId]) -> Result<()> {
    let all = ItemSet::new(items.to_vec());
    let lacking = items.iter().filter(|item| !missing.contains(&item.id));
    let part = ItemSet::new(lacking.copied().collect());
    let begun = Instant::now();
    let (mut trips, mut bytes, mut largest, mut need) = (0, 0, 0, 0);
    let mut message = Some(reconcile::initiate(&part));
    while let Some(asked) = message {
        let answer = reconcile::respond(&all, &asked, reconcile::MAX_MESSAGE)?;
        trips += 1;
        bytes += asked.len() + answer.len();
        largest = largest.max(asked.len()).max(answer.len());
        if reconcile::is_equal(&answer) {
            break;
        }
        let learnt = reconcile::learn(&part, &answer, reconcile::MAX_MESSAGE)?;
        need += learnt.need.len();
        message = learnt.next;
    }
    let took = begun.elapsed();
    ensure!(
        need == missing.len(),
        "{need} of {} differences were found",
        missing.len()
    );
    let what = format!("reconcile/{name}");
    figure(format!("{what}/round trips"), f64::from(trips), "round trips");
    figure(format!("{what}/bytes"), bytes as f64, "bytes");
    figure(format!("{what}/largest message"), largest as f64, "bytes");
    figure(format!("{what}/time"), took.as_secs_f64() * 1e3, "ms");
    Ok(())
}
