//! Every query of the interface, many times with other parameters each time.

use std::path::Path;

use anyhow::{Result, bail};
use nostr::prelude::{EventId, Keys, PublicKey};
use sazanami_core::corpus::Plan;
use sazanami_core::store::{Act, Cursor, Page, Scope, Store, StoreError};
use serde::Deserialize;

use crate::corpus;
use crate::ingest::Readers;
use crate::report::figure;
use crate::samples::Samples;

/// Notes on a page of the interface.
pub const PAGE: usize = 50;
/// Runs of each query.
const RUNS: usize = 400;
/// Pages read from the start of a timeline.
const DEPTH: usize = 4;
/// Owners of the device, one after the other.
const OWNERS: usize = 4;
/// Lines between two that parameters are taken from.
const STRIDE: usize = 97;

/// Words that people look for: one and two characters, prefixes, frequent and rare, none at all.
const SEARCHES: [&str; 16] = [
    "猫",
    "波",
    "海",
    "京都",
    "今日",
    "さざなみ",
    "二三",
    "ネットワーク",
    "coffee",
    "rip",
    "mountain train",
    "baker",
    "ヌ",
    "the",
    "#猫",
    "zzz",
];

/// Parameters that occur in the corpus.
#[derive(Default)]
pub struct Sample {
    notes: Vec<EventId>,
    authors: Vec<PublicKey>,
    hashtags: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    id: EventId,
    pubkey: PublicKey,
    kind: u16,
    tags: Vec<Vec<String>>,
}

impl Sample {
    /// Takes parameters from all over a corpus file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let mut sample = Self::default();
        for line in corpus::lines(file)?.step_by(STRIDE) {
            let line: Line = serde_json::from_str(&line?)?;
            if line.kind == 1 {
                sample.notes.push(line.id);
                sample.authors.push(line.pubkey);
                let hashtags = line.tags.into_iter().filter(|tag| tag[0] == "t");
                sample
                    .hashtags
                    .extend(hashtags.filter_map(|mut tag| (tag.len() > 1).then(|| tag.swap_remove(1))));
            }
        }
        // The last ones are those that people look at.
        sample.notes.reverse();
        Ok(sample)
    }
}

/// Measures all of them.
///
/// # Errors
/// When the store fails.
pub fn measure(store: &mut impl Store, plan: &Plan, sample: &Sample, events: usize) -> Result<()> {
    let readers = Readers::of(plan);
    let (dense, sparse) = (readers.dense.public_key(), readers.sparse.public_key());
    let Sample {
        notes,
        authors,
        hashtags,
    } = sample;
    if notes.is_empty() || hashtags.is_empty() {
        bail!("the corpus is too small");
    }
    let note = |run: usize| notes[run % notes.len()];
    let author = |run: usize| authors[run % authors.len()];
    let hashtag = |run: usize| hashtags[run % hashtags.len()].as_str();

    let timeline = |name: &str, scope: &dyn Fn(usize) -> Scope| {
        paged(&format!("query/{name}/{events}"), |run, before| {
            store.timeline(scope(run), before, PAGE)
        })
    };
    timeline("home, dense", &|_| Scope::FollowedBy(dense))?;
    timeline("home, sparse", &|_| Scope::FollowedBy(sparse))?;
    timeline("everyone", &|_| Scope::Everyone)?;
    timeline("person: all", &|run| Scope::Author(author(run)))?;
    timeline("person: posts", &|run| Scope::Posts(author(run)))?;
    timeline("person: replies", &|run| Scope::Replies(author(run)))?;
    timeline("person: media", &|run| Scope::Media(author(run)))?;
    paged(&format!("query/hashtag/{events}"), |run, before| {
        store.hashtag(hashtag(run), before, PAGE)
    })?;
    paged(&format!("query/search notes/{events}"), |run, before| {
        store.search_notes(SEARCHES[run % SEARCHES.len()], before, PAGE)
    })?;

    let each = |name: &str, query: &mut dyn FnMut(usize) -> Result<(), StoreError>| {
        repeated(&format!("query/{name}/{events}"), query)
    };
    each("thread", &mut |run| {
        store.thread(&note(run), None, PAGE).map(drop)
    })?;
    each("counts", &mut |run| store.counts(&note(run)).map(drop))?;
    each("who reacted", &mut |run| {
        store.reactors(&note(run), Act::Reaction, None, PAGE).map(drop)
    })?;
    each("profile", &mut |run| store.profile(&author(run)).map(drop))?;
    each("note count", &mut |run| store.note_count(&author(run)).map(drop))?;
    each("followers", &mut |run| {
        store.followers(&author(run), PAGE).map(drop)
    })?;
    each("search people", &mut |run| {
        let names = ["静", "今", "network", "coff", "電車1", "zz"];
        store.search_people(names[run % names.len()], PAGE).map(drop)
    })?;
    // People of all ranks, each as the owner of the device. A new owner's notifications are looked for in all there is: few
    // owners, each asking often.
    let people: Vec<PublicKey> = plan
        .people()
        .iter()
        .take(40)
        .step_by(40 / OWNERS)
        .map(Keys::public_key)
        .collect();
    let mut samples = Samples::default();
    for run in 0..RUNS {
        if run % (RUNS / OWNERS) == 0
            && store
                .set_me(Some(people[run * OWNERS / RUNS % people.len()]))
                .is_err()
        {
            eprintln!("notifications: not measured, the store knows no owner");
            return Ok(());
        }
        match samples.time(|| store.notifications(&[], None, PAGE)) {
            Ok(_) => {}
            Err(error) => {
                skip("notifications", &error);
                return Ok(());
            }
        }
    }
    samples.report(&format!("query/notifications/{events}"));
    Ok(())
}

/// Pages from the start on: the first ones of each set of parameters.
fn paged(what: &str, mut query: impl FnMut(usize, Option<Cursor>) -> Result<Page, StoreError>) -> Result<()> {
    let mut samples = Samples::default();
    let (mut before, mut found) = (None, 0);
    for run in 0..RUNS {
        if run % DEPTH == 0 {
            before = None;
        }
        match samples.time(|| query(run / DEPTH, before)) {
            Ok(page) => {
                found += page.notes.len();
                before = page.next;
            }
            Err(error) => {
                skip(what, &error);
                return Ok(());
            }
        }
    }
    samples.report(what);
    figure(format!("{what}/mean page"), found as f64 / RUNS as f64, "notes");
    Ok(())
}

fn repeated(what: &str, query: &mut dyn FnMut(usize) -> Result<(), StoreError>) -> Result<()> {
    let mut samples = Samples::default();
    for run in 0..RUNS {
        if let Err(error) = samples.time(|| query(run)) {
            skip(what, &error);
            return Ok(());
        }
    }
    samples.report(what);
    Ok(())
}

/// One query that fails does not hide the others' figures.
fn skip(what: &str, error: &StoreError) {
    eprintln!("{what}: not measured, {error}");
}
