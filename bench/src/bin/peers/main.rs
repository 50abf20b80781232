//! Native peers in processes of their own, over real data channels on this machine: what a newcomer fetches per second,
//! beside what the same machine takes in locally; syncing again; blobs beside a bare data channel.
//!
//! Both ends share the processors, so each figure comes with the processor time of either side.

mod bare;
mod fetch;
mod keep;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nostr::prelude::{Event, Filter, Kind};
use sazanami_bench::report::Stopwatch;
use sazanami_bench::{corpus, ingest, reconciling};
use sazanami_core::social::{KINDS, Ring};
use sazanami_core::store::{Budget, Item, SqliteStore, Store};
use sazanami_core::sync::reconcile;
use sazanami_core::time::Millis;

/// Events that differ in the scattered case (the target's number).
const SCATTERED: usize = 1_000;
/// Transfers of a blob, each beside one over a bare channel.
const TRANSFERS: usize = 3;

/// Peers over data channels.
#[derive(Parser)]
enum Args {
    /// Print all figures
    Measure {
        /// The size of the corpus
        #[arg(long)]
        events: usize,
        /// Where corpora are kept
        #[arg(long)]
        corpora: PathBuf,
        /// A folder for the peers' databases; what is in it is replaced
        #[arg(long)]
        dir: PathBuf,
    },
    /// Be the peer that has everything, until standard input ends
    Keep(keep::Args),
    /// Be a peer that lacks something, and print what getting it took
    Fetch(fetch::Args),
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args {
        Args::Measure { events, corpora, dir } => {
            measure(events, &corpora, &dir, &runtime)?;
        }
        Args::Keep(args) => runtime.block_on(keep::run(args))?,
        Args::Fetch(args) => runtime.block_on(fetch::run(args))?,
    }
    Ok(())
}

fn measure(count: usize, corpora: &Path, dir: &Path, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let file = corpus::file(corpora, count)?;
    let plan = corpus::plan(count);
    let now = ingest::after(&plan);
    let mut events = corpus::read(&file, count)?;
    events.retain(|event| KINDS.contains(&event.kind));
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }

    let full = database(dir, "keeper")?;
    let mut store = SqliteStore::open(&full)?;
    let watch = Stopwatch::start();
    ingest::verified(&mut store, &events, now)?;
    watch.report("peers/local ingest", events.len());
    keep_everything(&mut store)?;
    let items = store.items(&Filter::new())?;
    let lacking = lacking(&mut store, &events)?;
    drop(store);

    // What lacks them all; each case is given the others back.
    let base = database(dir, "base")?;
    let mut store = SqliteStore::open(&base)?;
    let ids: BTreeSet<_> = lacking.iter().map(|event| event.id).collect();
    let rest: Vec<Event> = events
        .iter()
        .filter(|event| !ids.contains(&event.id))
        .cloned()
        .collect();
    ingest::verified(&mut store, &rest, now)?;
    keep_everything(&mut store)?;
    drop((store, rest, events));

    let keeper = keep::Child::start(&full)?;
    let empty = database(dir, "empty")?;
    keep_everything(&mut SqliteStore::open(&empty)?)?;
    keeper.serve(&format!("peers/{count}, into an empty peer"), &empty, items.len())?;
    for (name, given) in [("1000 differ", 1), ("1 differs", SCATTERED)] {
        let path = database(dir, name)?;
        fs::copy(&base, &path)?;
        let mut store = SqliteStore::open(&path)?;
        let given = if given == 1 { &lacking[..1] } else { &lacking[1..] };
        give(&mut store, given, now)?;
        reconciling::measure(
            &format!("peers/{count}, {name}/reconciled alone"),
            &items,
            &store.items(&Filter::new())?,
            reconcile::MAX_PACKED_MESSAGE,
        )?;
        drop(store);
        keeper.serve(&format!("peers/{count}, {name}"), &path, items.len())?;
        if name == "1000 differ" {
            // Now it lacks nothing.
            keeper.serve(&format!("peers/{count}, equal"), &path, items.len())?;
        }
    }
    for transfer in 0..TRANSFERS {
        let path = database(dir, &format!("blob {transfer}"))?;
        keeper.serve_blob("peers/blob", &path)?;
        runtime.block_on(bare::measure("peers/bare data channel", keep::BLOB_BYTES))?;
    }
    keeper.stop()
}

/// A database in a folder of its own, since media stand beside it.
fn database(dir: &Path, name: &str) -> Result<PathBuf> {
    let folder = dir.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder.join("sazanami.db"))
}

/// The corpus is of strangers, and older than strangers' events are kept.
fn keep_everything(store: &mut SqliteStore) -> Result<()> {
    for ring in Ring::ALL {
        store.set_budget(ring, Budget::UNLIMITED)?;
    }
    Ok(())
}

/// The events to be missing: one, and others scattered over all the time; nothing depends on any of them.
fn lacking(store: &mut SqliteStore, events: &[Event]) -> Result<Vec<Event>> {
    let items: Vec<Item> = store.items(&Filter::new().kind(Kind::Reaction))?;
    let every = items.len() / (SCATTERED + 1);
    ensure!(every > 0, "too few events");
    let ids: BTreeSet<_> = items
        .iter()
        .step_by(every)
        .take(SCATTERED + 1)
        .map(|item| item.id)
        .collect();
    let mut found: Vec<Event> = events
        .iter()
        .filter(|event| ids.contains(&event.id))
        .cloned()
        .collect();
    ensure!(
        found.len() > SCATTERED,
        "only {} events can be missing",
        found.len()
    );
    // The single one is from the middle.
    found.swap(0, SCATTERED / 2);
    Ok(found)
}

fn give(store: &mut SqliteStore, events: &[Event], now: Millis) -> Result<()> {
    store
        .put(events, now)
        .map(drop)
        .context("putting what is not to be missing")
}
