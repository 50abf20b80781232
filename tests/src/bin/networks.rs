//! Lets two peers meet in all kinds of networks and prints the matrix: whether they connect, directly or relayed, how
//! soon the first post is there, and how much goes through.
//!
//! `cargo run -p sazanami-tests --bin networks -- --help`. As root, on Linux: real packets of the built programs go
//! through network namespaces, behind address translation and lines that the harness makes (`sazanami_tests::internet`).

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use sazanami_core::transport::PathKind;
use sazanami_tests::{Turn, internet};

#[path = "networks/cases.rs"]
mod cases;
#[path = "networks/meeting.rs"]
mod meeting;

use cases::{CASES, Pairing};
use meeting::{Outcome, meet};

/// Which networks are tried.
#[derive(Parser)]
struct Args {
    /// Only these peers; may be repeated [default: all]
    #[arg(long, value_enum)]
    pairing: Vec<Pairing>,
    /// Only with this TURN server [default: both]
    #[arg(long, value_enum)]
    turn: Option<TurnArg>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
    /// Only the few cases that stand for the others
    #[arg(long)]
    representative: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TurnArg {
    Embedded,
    Coturn,
}

fn main() -> Result<()> {
    // Before there are threads: a program cannot take them into a namespace.
    let args = Args::parse();
    if let Some(reason) = internet::unavailable() {
        println!("SKIPPED: no network namespaces here: {reason}");
        return Ok(());
    }
    internet::enter()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&args))
}

async fn run(args: &Args) -> Result<()> {
    let turns: &[Turn] = match args.turn {
        None => &[Turn::Embedded, Turn::Coturn],
        Some(TurnArg::Embedded) => &[Turn::Embedded],
        Some(TurnArg::Coturn) => &[Turn::Coturn],
    };
    let pairings = if args.pairing.is_empty() {
        vec![
            Pairing::NativeNative,
            Pairing::ChromiumNative,
            Pairing::ChromiumChromium,
        ]
    } else {
        args.pairing.clone()
    };
    println!(
        "| peers | TURN | first network, second network | connected | path | first post | throughput | after a move |"
    );
    println!("|---|---|---|---|---|---:|---:|---:|");
    let mut unexpected = Vec::new();
    for pairing in pairings {
        for turn in turns {
            for case in CASES {
                let wanted = case.name.contains(&args.case) && (case.representative || !args.representative);
                if !wanted {
                    continue;
                }
                let outcome = match meet(&case, pairing, *turn).await {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        eprintln!("{pairing}, {turn:?}, {}: {error:#}", case.name);
                        Outcome::default()
                    }
                };
                let row = row(&outcome);
                println!("| {pairing} | {turn:?} | {} | {row} |", case.name);
                let stayed = outcome.moved.is_none_or(|moved| moved.is_some());
                if outcome.path != Some(case.expected) || !stayed {
                    unexpected.push(format!("{pairing}, {turn:?}, {}: {row}", case.name));
                }
            }
        }
    }
    ensure!(
        unexpected.is_empty(),
        "not as expected:\n{}",
        unexpected.join("\n")
    );
    Ok(())
}

fn row(outcome: &Outcome) -> String {
    let (connected, path) = match (outcome.first_post, outcome.path) {
        (None, _) => ("no", "–"),
        (_, None) => ("yes", "?"),
        (_, Some(PathKind::Direct)) => ("yes", "direct"),
        (_, Some(PathKind::Relayed)) => ("yes", "relayed"),
    };
    let seconds =
        |time: Option<Duration>| time.map_or("–".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()));
    let throughput = outcome
        .throughput
        .map_or("–".to_owned(), |rate| format!("{:.0} kB/s", rate / 1_000.0));
    let moved = match outcome.moved {
        Some(None) => "lost".to_owned(),
        moved => seconds(moved.flatten()),
    };
    format!(
        "{connected} | {path} | {} | {throughput} | {moved}",
        seconds(outcome.first_post)
    )
}
