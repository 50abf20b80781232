//! The corpus as a file of JSON lines: signing a million events takes a minute, and references in other languages
//! read the same file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use nostr::prelude::Event;
use sazanami_core::corpus::{Corpus, Draft, Plan, Signer};

/// The seed of all published figures.
pub const SEED: u64 = 20_250_101;
/// Drafts signed together: enough for every thread, little enough to keep in memory.
const CHUNK: usize = 20_000;

/// The plan of a size.
pub fn plan(events: usize) -> Plan {
    Plan::new(SEED, events)
}

/// The file of a size, made first when it is not there.
///
/// # Errors
/// When it cannot be written.
pub fn file(folder: &Path, events: usize) -> Result<PathBuf> {
    let path = folder.join(format!("corpus-{SEED}-{events}.jsonl"));
    if path.exists() {
        return Ok(path);
    }
    eprintln!("making a corpus of {events} events");
    fs::create_dir_all(folder)?;
    let part = path.with_extension("part");
    let mut out = BufWriter::new(File::create(&part)?);
    let plan = plan(events);
    let signer = Signer::new(&plan.people());
    let mut corpus = Corpus::new(plan);
    loop {
        let drafts: Vec<Draft> = corpus.by_ref().take(CHUNK).collect();
        if drafts.is_empty() {
            break;
        }
        for line in signed(&signer, drafts) {
            out.write_all(line.as_bytes())?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    fs::rename(&part, &path)?;
    Ok(path)
}

fn signed(signer: &Signer, drafts: Vec<Draft>) -> Vec<String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = drafts.len().div_ceil(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = drafts
            .chunks(share)
            .map(|drafts| {
                scope.spawn(move || {
                    let sign = |draft: &Draft| signer.sign(draft.clone()).as_json();
                    drafts.iter().map(sign).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().expect("signing does not panic"));
        joined.flatten().collect()
    })
}

/// Reads events in order, the first `limit`.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub fn read(path: &Path, limit: usize) -> Result<Vec<Event>> {
    lines(path)?
        .take(limit)
        .map(|line| Event::from_json(line?).context("a damaged corpus"))
        .collect()
}

/// The lines, unparsed.
///
/// # Errors
/// When the file cannot be read.
pub fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    Ok(BufReader::new(File::open(path)?).lines())
}
