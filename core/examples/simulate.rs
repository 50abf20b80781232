//! How notes spread among many peers: `cargo run --release -p sazanami-core --features sim --example simulate -- 1000`
//! prints a table, one row for each scenario. A second number is the seed; words after it choose scenarios by what is in
//! their names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use sazanami_core::sim::{headings, scenarios};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<usize>().ok());
    let (peers, seed) = (number(0).unwrap_or(1_000), number(1).unwrap_or(1) as u64);
    let words = arguments.get(2..).unwrap_or_default();
    println!("seed {seed}\n{}", headings());
    let mut failed = false;
    for scenario in &scenarios::ALL {
        if !words.is_empty() && !words.iter().any(|word| scenario.name.contains(word)) {
            continue;
        }
        let started = Instant::now();
        let row = catch_unwind(AssertUnwindSafe(|| (scenario.run)(scenario.name, seed, peers)));
        if let Ok(row) = &row {
            println!("{row}");
        }
        eprintln!("{}: {:.1?}", scenario.name, started.elapsed());
        if !row.is_ok_and(|row| row.is_complete()) {
            println!("{} failed with {peers} peers and seed {seed}", scenario.name);
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}
