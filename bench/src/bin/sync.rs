//! What syncing costs, in memory: reconciliation alone, and whole sessions between two SQLite stores.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nostr::prelude::{EventId, Filter};
use sazanami_bench::report::figure;
use sazanami_bench::{corpus, ingest, reconciling, session};
use sazanami_core::social::KINDS;
use sazanami_core::store::{Item, SqliteStore, Store};
use sazanami_core::sync::reconcile;

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
        let part: Vec<Item> = items
            .iter()
            .filter(|item| !missing.contains(&item.id))
            .copied()
            .collect();
        let what = format!("reconcile/{}, {name}", args.events);
        reconciling::measure(&what, &items, &part, reconcile::MAX_MESSAGE)?;
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
