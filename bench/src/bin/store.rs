//! The store's figures: ingest, disk, opening, queries. One contender and one size per run, so that a script can
//! alternate them.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use nostr::prelude::Event;
use sazanami_bench::plain::Plain;
use sazanami_bench::report::{Stopwatch, figure};
use sazanami_bench::samples::Samples;
use sazanami_bench::{corpus, ingest, plain, queries};
use sazanami_core::corpus::Plan;
use sazanami_core::social::KINDS;
use sazanami_core::store::{Known, Scope, SqliteStore, Store};

/// Opens of one database.
const OPENS: usize = 20;

/// Figures of the store.
#[derive(Parser)]
struct Args {
    /// What to measure
    #[command(subcommand)]
    what: What,
    /// How many events
    #[arg(long, default_value_t = 20_000, global = true)]
    events: usize,
    /// Where corpora are kept
    #[arg(long, default_value = "target/bench", global = true)]
    corpora: PathBuf,
    /// A folder for the database
    #[arg(long, default_value = "target/bench/store", global = true)]
    dir: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Makes the corpus and prints its path
    Corpus,
    /// Prints the kinds that the store keeps
    Kinds,
    /// Verifying alone, on one core and on all
    Verify,
    /// Storing the corpus in an empty database, which stays
    Ingest {
        #[arg(value_enum)]
        contender: Contender,
    },
    /// Opening the database to the first page
    Open,
    /// Every query of the interface
    Queries,
}

#[derive(Clone, Copy, ValueEnum)]
enum Contender {
    /// Sazanami's store: verified, durable, searchable
    Ours,
    /// The plain schema, without verification
    Plain,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let file = corpus::file(&args.corpora, args.events)?;
    match args.what {
        What::Corpus => println!("{}", file.display()),
        What::Kinds => {
            let kinds: Vec<String> = KINDS.iter().map(|kind| kind.as_u16().to_string()).collect();
            println!("{}", kinds.join(","));
        }
        What::Verify => verify(&args, &file)?,
        What::Ingest { contender } => {
            std::fs::create_dir_all(&args.dir)?;
            match contender {
                Contender::Ours => ingest_ours(&args, &file)?,
                Contender::Plain => ingest_plain(&args, &file)?,
            }
        }
        What::Open => open(&args)?,
        What::Queries => {
            let plan = corpus::plan(args.events);
            let sample = queries::Sample::read(&file)?;
            let database = database(&args.dir);
            warm(&database)?;
            queries::measure(&mut SqliteStore::open(database)?, &plan, &sample, args.events)?;
        }
    }
    Ok(())
}

fn database(folder: &Path) -> PathBuf {
    folder.join("ours.db")
}

/// Lets the system keep a file in memory, as after a while of use: a page that comes from the disk costs what the disk
/// does, ten times the query.
fn warm(file: &Path) -> Result<()> {
    std::io::copy(&mut std::fs::File::open(file)?, &mut std::io::sink())?;
    Ok(())
}

/// What the store keeps, of the first `limit` lines.
fn kept(file: &Path, limit: usize) -> Result<Vec<Event>> {
    let mut events = corpus::read(file, limit)?;
    events.retain(|event| KINDS.contains(&event.kind));
    Ok(events)
}

fn verify(args: &Args, file: &Path) -> Result<()> {
    let events = kept(file, args.events.min(20_000))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, cores] {
        let took = ingest::verifying(&events, threads).as_secs_f64();
        figure(
            format!("verify/{threads} threads"),
            events.len() as f64 / took,
            "events/s",
        );
    }
    Ok(())
}

fn ingest_ours(args: &Args, file: &Path) -> Result<()> {
    let path = database(&args.dir);
    ensure!(!path.exists(), "{} is there already", path.display());
    let plan = corpus::plan(args.events);
    let events = kept(file, args.events)?;
    let mut store = SqliteStore::open(&path)?;
    let now = ingest::after(&plan);
    let watch = Stopwatch::start();
    ingest::verified(&mut store, &events, now)?;
    watch.report("ingest/ours", events.len());
    store.put(&ingest::Readers::of(&plan).follow_lists(&plan), now)?;

    let (mut count, mut json) = (0_usize, 0);
    for event in &events {
        if store.known(&event.id)? == Known::Stored {
            count += 1;
            json += event.as_json().len();
        }
    }
    drop(store);
    let bytes = bytes(&args.dir, "ours.db")?;
    figure("disk/ours", bytes as f64 / count as f64, "bytes/event");
    figure("disk/json", json as f64 / count as f64, "bytes/event");
    figure("disk/ours to json", bytes as f64 / json as f64, "ratio");
    Ok(())
}

fn ingest_plain(args: &Args, file: &Path) -> Result<()> {
    let path = args.dir.join("plain.db");
    ensure!(!path.exists(), "{} is there already", path.display());
    let events = kept(file, args.events)?;
    let mut database = Plain::create(&path)?;
    let watch = Stopwatch::start();
    for batch in events.chunks(plain::BATCH) {
        database.put(batch)?;
    }
    watch.report("ingest/plain SQLite", events.len());
    drop(database);
    let bytes = bytes(&args.dir, "plain.db")?;
    figure(
        "disk/plain SQLite",
        bytes as f64 / events.len() as f64,
        "bytes/event",
    );
    Ok(())
}

/// The database with its log.
fn bytes(folder: &Path, name: &str) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(name) {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}

fn open(args: &Args) -> Result<()> {
    let plan: Plan = corpus::plan(args.events);
    let reader = ingest::Readers::of(&plan).dense.public_key();
    let mut samples = Samples::default();
    for _ in 0..OPENS {
        let page = samples.time(|| -> Result<_> {
            let store = SqliteStore::open(database(&args.dir))?;
            Ok((
                store.timeline(Scope::FollowedBy(reader), None, queries::PAGE)?,
                store,
            ))
        })?;
        ensure!(!page.0.notes.is_empty(), "an empty timeline");
    }
    samples.report(&format!("open/{}", args.events));
    Ok(())
}
