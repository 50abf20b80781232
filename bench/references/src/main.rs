//! Stores the corpus in nostr-sqlite or nostr-lmdb, through the calls that their users make, and prints the rate.
//! Neither verifies.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use futures::StreamExt;
use nostr::prelude::Event;
use nostr_database::prelude::*;
use nostr_lmdb::NostrLmdb;
use nostr_sqlite::prelude::NostrSqliteBuilder;

/// Saves under way at once, where they may be.
const IN_FLIGHT: usize = 1_000;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Contender {
    /// nostr-sqlite; its connection is behind a lock, so it takes one event at a time
    Sqlite,
    /// nostr-lmdb, one event after the other
    LmdbSerial,
    /// nostr-lmdb, many in flight: it commits them together
    LmdbFlight,
}

/// A reference store's rate.
#[derive(Parser)]
struct Args {
    contender: Contender,
    /// JSON lines
    #[arg(long)]
    corpus: PathBuf,
    /// An empty folder for the database
    #[arg(long)]
    dir: PathBuf,
    /// How many events
    #[arg(long)]
    events: usize,
    /// Which kinds (all, when left out)
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<u16>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir)?;
    let events = read(&args)?;
    let database: Box<dyn NostrDatabase> = match args.contender {
        Contender::Sqlite => Box::new(
            NostrSqliteBuilder::default()
                .in_file(args.dir.join("events.db"))
                .build()
                .await?,
        ),
        Contender::LmdbSerial | Contender::LmdbFlight => Box::new(NostrLmdb::open(&args.dir).await?),
    };
    let width = if args.contender == Contender::LmdbFlight {
        IN_FLIGHT
    } else {
        1
    };
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let saved = futures::stream::iter(&events)
        .map(|event| database.save_event(event))
        .buffered(width)
        .fold(Ok(0_usize), |sum: Result<usize>, status| async {
            Ok(sum? + usize::from(status?.is_success()))
        })
        .await?;
    let rate = events.len() as f64 / begun.elapsed().as_secs_f64();
    let cost = (cpu_seconds() - cpu) * 1e6 / events.len() as f64;
    ensure!(
        saved > events.len() / 2,
        "only {saved} of {} were saved",
        events.len()
    );
    let name = match args.contender {
        Contender::Sqlite => "nostr-sqlite",
        Contender::LmdbSerial => "nostr-lmdb, one by one",
        Contender::LmdbFlight => "nostr-lmdb, in flight",
    };
    println!(r#"{{"what":"ingest/{name}","value":{rate:.1},"unit":"events/s"}}"#);
    println!(r#"{{"what":"ingest/{name}/cpu","value":{cost:.1},"unit":"µs/event"}}"#);
    drop(database);
    let bytes = bytes(&args.dir)? as f64 / saved as f64;
    println!(r#"{{"what":"disk/{name}","value":{bytes:.1},"unit":"bytes/event"}}"#);
    Ok(())
}

fn read(args: &Args) -> Result<Vec<Event>> {
    let file = File::open(&args.corpus).context("the corpus")?;
    let mut events = Vec::new();
    for line in BufReader::new(file).lines() {
        if events.len() >= args.events {
            break;
        }
        let event = Event::from_json(line?)?;
        if args.kinds.is_empty() || args.kinds.contains(&event.kind.as_u16()) {
            events.push(event);
        }
    }
    Ok(events)
}

/// What the files occupy: LMDB's are sparse.
fn bytes(folder: &std::path::Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        sum += entry?.metadata()?.blocks() * 512;
    }
    Ok(sum)
}

/// As `sazanami_bench::report::cpu_seconds`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
