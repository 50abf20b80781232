//! Reads figures (JSON lines, from any number of runs) on the standard input and prints them as one Markdown table:
//! medians, and their ratios to the references and targets.

use std::collections::BTreeMap;
use std::io::stdin;

use anyhow::Result;
use sazanami_bench::report::Figure;

/// Whether more or less is better.
#[derive(Clone, Copy)]
enum Aim {
    AtLeast,
    AtMost,
}
use Aim::{AtLeast, AtMost};

/// A target of issue 3: a figure, what it is compared with, and how many times that it is to be.
struct Target {
    figure: &'static str,
    aim: Aim,
    times: f64,
    /// Another figure, or a number.
    reference: &'static str,
}

const fn target(figure: &'static str, aim: Aim, times: f64, reference: &'static str) -> Target {
    Target {
        figure,
        aim,
        times,
        reference,
    }
}

const TARGETS: &[Target] = &[
    target("ingest/ours", AtLeast, 1.0, "ingest/plain SQLite"),
    target("ingest/ours", AtLeast, 5.0, "ingest/nostr-sqlite"),
    target("ingest/ours", AtLeast, 1.5, "ingest/nostr-lmdb, in flight"),
    target(
        "relay/ours, 1 connection",
        AtLeast,
        1.5,
        "relay/strfry, published",
    ),
    target("disk/ours to json", AtMost, 1.5, "1"),
    target(
        "web ingest/ours, verified by workers",
        AtLeast,
        1.0,
        "web ingest/@snort/worker-relay, unverified",
    ),
    target(
        "web verify/ours, 1 worker",
        AtLeast,
        1.3,
        "web verify/nostr-wasm, 1 worker",
    ),
    target(
        "web verify/ours, 2 workers",
        AtLeast,
        1.0,
        "web verify/ours, 1 worker",
    ),
    target(
        "web home, dense/ours/p50",
        AtMost,
        1.0 / 3.0,
        "web home, dense/@snort/worker-relay/p50",
    ),
    target(
        "web home, dense/ours/p99",
        AtMost,
        1.0 / 3.0,
        "web home, dense/@snort/worker-relay/p99",
    ),
    target(
        "web home, sparse/ours/p50",
        AtMost,
        1.0 / 3.0,
        "web home, sparse/@snort/worker-relay/p50",
    ),
    target(
        "web home, sparse/ours/p99",
        AtMost,
        1.0 / 3.0,
        "web home, sparse/@snort/worker-relay/p99",
    ),
    target(
        "query/home, sparse/1000000/cpu p99",
        AtMost,
        3.0,
        "query/home, dense/1000000/cpu p99",
    ),
    target(
        "query/home, dense/1000000/cpu p99",
        AtMost,
        2.0,
        "query/home, dense/100000/cpu p99",
    ),
    target(
        "query/home, sparse/1000000/cpu p99",
        AtMost,
        2.0,
        "query/home, sparse/100000/cpu p99",
    ),
    target(
        "query/thread/1000000/cpu p99",
        AtMost,
        2.0,
        "query/thread/100000/cpu p99",
    ),
    target(
        "query/notifications/1000000/cpu p99",
        AtMost,
        2.0,
        "query/notifications/100000/cpu p99",
    ),
    target(
        "query/profile/1000000/cpu p99",
        AtMost,
        2.0,
        "query/profile/100000/cpu p99",
    ),
    target(
        "query/hashtag/1000000/cpu p99",
        AtMost,
        2.0,
        "query/hashtag/100000/cpu p99",
    ),
    target(
        "query/search notes/1000000/cpu p99",
        AtMost,
        2.0,
        "query/search notes/100000/cpu p99",
    ),
    target("open/1000000/cpu p50", AtMost, 1.5, "open/1000/cpu p50"),
    target("reconcile/100000, equal/round trips", AtMost, 1.0, "1"),
    target("reconcile/100000, equal/bytes", AtMost, 1.0, "500"),
    target("reconcile/100000, 1 differs/round trips", AtMost, 1.0, "3"),
    target("reconcile/100000, 1 differs/bytes", AtMost, 1.0, "3000"),
    target("reconcile/100000, 1000 differ/round trips", AtMost, 1.0, "4"),
    target(
        "peers/100000, into an empty peer",
        AtLeast,
        0.8,
        "peers/local ingest",
    ),
    target(
        "web peers/20000, browser to browser",
        AtLeast,
        0.7,
        "web ingest/ours, verified by the same worker",
    ),
];

fn main() -> Result<()> {
    let mut figures: BTreeMap<String, (Vec<f64>, String)> = BTreeMap::new();
    for line in stdin().lines() {
        let figure: Figure = serde_json::from_str(&line?)?;
        let entry = figures
            .entry(figure.what)
            .or_insert_with(|| (Vec::new(), figure.unit));
        entry.0.push(figure.value);
    }
    for (values, _) in figures.values_mut() {
        values.sort_unstable_by(f64::total_cmp);
    }
    let median = |(what, (values, _)): (_, &(Vec<f64>, _))| (what, values[values.len() / 2]);
    let medians: BTreeMap<&String, f64> = figures.iter().map(median).collect();
    let measured = |what: &str| medians.get(&what.to_owned());

    println!("| target | measured | compared with | ratio | wanted | |\n|---|---:|---|---:|---:|---|");
    for target in TARGETS {
        let Some(&value) = measured(target.figure) else {
            println!("| {} | not measured | | | | |", target.figure);
            continue;
        };
        let (reference, name) = match (target.reference.parse::<f64>(), measured(target.reference)) {
            (Ok(number), _) => (number, String::new()),
            (Err(_), Some(&other)) => (other, format!("{}: {}", target.reference, shown(other))),
            (Err(_), None) => {
                println!(
                    "| {} | {} | {}: not measured | | | |",
                    target.figure,
                    shown(value),
                    target.reference
                );
                continue;
            }
        };
        let ratio = value / reference;
        let (sign, met) = match target.aim {
            AtLeast => ("≥", ratio >= target.times),
            AtMost => ("≤", ratio <= target.times),
        };
        let (limit, name) = if name.is_empty() {
            (target.times * reference, "–".to_owned())
        } else {
            (target.times, name)
        };
        let compared = if name == "–" { value } else { ratio };
        println!(
            "| {} | {} | {name} | {} | {sign} {} | {} |",
            target.figure,
            shown(value),
            shown(compared),
            shown(limit),
            if met { "met" } else { "missed" }
        );
    }

    println!("\n| figure | median | least | most | runs | unit |\n|---|---:|---:|---:|---:|---|");
    for (what, (values, unit)) in &figures {
        println!(
            "| {what} | {} | {} | {} | {} | {unit} |",
            shown(medians[what]),
            shown(values[0]),
            shown(values[values.len() - 1]),
            values.len()
        );
    }
    Ok(())
}

/// Three digits that matter.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
