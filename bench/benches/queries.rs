//! The interface's most frequent queries under criterion, to see what a change of the store does to one of them:
//! `cargo bench` in this folder, twice. The table of all of them is `scripts/bench.sh`.

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use sazanami_bench::ingest::{self, Readers};
use sazanami_bench::queries::PAGE;
use sazanami_bench::{corpus, plain};
use sazanami_core::store::{Scope, SqliteStore, Store};

/// Enough for indices to matter, little enough to be made in a minute.
const EVENTS: usize = 20_000;

fn queries(criterion: &mut Criterion) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = corpus::file(&folder, EVENTS).expect("a corpus");
    let plan = corpus::plan(EVENTS);
    let events = corpus::read(&file, EVENTS).expect("the corpus");
    let mut store = SqliteStore::in_memory().expect("a database");
    let now = ingest::after(&plan);
    ingest::verified(&mut store, &events, now).expect("room in memory");
    let readers = Readers::of(&plan);
    store
        .put(&readers.follow_lists(&plan), now)
        .expect("room in memory");
    let note = events
        .iter()
        .rfind(|event| event.kind.as_u16() == 1)
        .expect("a note in the corpus");

    let mut page = |name: &str, scope| {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| store.timeline(scope, None, PAGE).expect("a page"));
        });
    };
    page("home, dense", Scope::FollowedBy(readers.dense.public_key()));
    page("home, sparse", Scope::FollowedBy(readers.sparse.public_key()));
    page("everyone", Scope::Everyone);
    page("person", Scope::Author(note.pubkey));
    criterion.bench_function("thread", |bencher| {
        bencher.iter(|| store.thread(&note.id, None, PAGE));
    });
    criterion.bench_function("search, one character", |bencher| {
        bencher.iter(|| store.search_notes("猫", None, PAGE));
    });
}

fn storing(criterion: &mut Criterion) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = corpus::file(&folder, EVENTS).expect("a corpus");
    let events = corpus::read(&file, plain::BATCH).expect("the corpus");
    let now = ingest::after(&corpus::plan(EVENTS));
    criterion.bench_function(
        "a batch of 500 into an empty database in memory, verified before",
        |bencher| {
            bencher.iter_with_setup(
                || SqliteStore::in_memory().expect("a database"),
                |mut store| store.put_verified(&events, now).expect("room in memory"),
            );
        },
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = queries, storing
}
criterion_main!(benches);
