//! Lets somebody connect to a peer and leave it again, many times, and prints as a table what the peer holds meanwhile.
//! Fails when it grows.
//!
//! `cargo run -p sazanami-tests --bin rounds -- --help`

use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use nostr::prelude::Keys;
use sazanami_tests::{Site, Visited};

/// What is done.
#[derive(Parser)]
struct Args {
    /// Who is connected to
    #[arg(long, value_enum)]
    with: With,
    /// How often
    #[arg(long, default_value_t = 1_000)]
    rounds: usize,
    /// Memory by which it may grow after the first tenth, in KiB
    #[arg(long, default_value_t = 4_096)]
    memory: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum With {
    Native,
    Chromium,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let site = match args.with {
        With::Native => Site::start_without_web().await?,
        With::Chromium => Site::start().await?,
    };
    let mut visited = match args.with {
        With::Native => Visited::native(&site).await?,
        With::Chromium => Visited::chromium(&site).await?,
    };
    let (visitor, begun) = (Keys::generate(), Instant::now());
    println!("| rounds | sockets | memory, KiB | RTCPeerConnections | seconds |");
    println!("|---:|---:|---:|---:|---:|");
    let (mut done, mut warm) = (0, None);
    while done < args.rounds {
        let some = args.rounds.div_ceil(10).min(args.rounds - done);
        visited.visits(&site, &visitor, some).await?;
        done += some;
        let held = visited.held().await?;
        println!(
            "| {done} | {} | {} | {} | {:.0} |",
            held.sockets,
            held.memory / 1024,
            held.connections,
            begun.elapsed().as_secs_f64()
        );
        warm.get_or_insert(held);
    }
    if let Some(warm) = warm {
        visited.lets_go(warm, args.memory * 1024).await?;
    }
    Ok(())
}
