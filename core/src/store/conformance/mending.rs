//! A damaged database is put together again on every medium, whatever interrupts that.

use super::fixtures::{NOW, note, person};
use crate::store::mend::{self, Files, MAX_KEPT};
use crate::store::{Bytes, Put, RECOVERED, Recovered, Scope, SqliteStore, Store, StoreError};

const NAME: &str = "posts.db";
const NOTES: usize = 60;
/// As many as spread over the whole file.
const MANY: usize = 1500;

/// Files that can be damaged.
#[allow(async_fn_in_trait)]
pub trait Breakable: Files {
    /// Changes what a closed file holds.
    async fn alter(&mut self, name: &str, alter: &mut dyn FnMut(&mut Vec<u8>));
}

/// Runs every case, each on files that it removes before.
///
/// # Panics
/// With what was found wrong.
pub async fn mending<F: Breakable>(files: &mut F) {
    a_damaged_file_is_kept_beside_a_new_one(files).await;
    pages_and_ends_may_be_lost(files).await;
    few_are_kept(files).await;
    an_interruption_is_taken_up(files).await;
    older_ones_give_way(files).await;
}

async fn a_damaged_file_is_kept_beside_a_new_one<F: Breakable>(files: &mut F) {
    filled(files).await;
    let mut damaged = Vec::new();
    files
        .alter(NAME, &mut |bytes| {
            bytes[..4096].fill(7);
            damaged.clone_from(bytes);
        })
        .await;
    let (store, recovered) = opened(files).await;
    assert_eq!(notes(&store), NOTES);
    assert_eq!(recovered.expect("it was damaged").events, NOTES as u64);
    let told = store.setting(RECOVERED).expect("a setting");
    assert_eq!(told.as_deref().and_then(Recovered::read), recovered);
    let copies = copies(files);
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert!(
        content(files, &copies[0]) == damaged,
        "the damaged file is as it was"
    );
    drop(store);
    assert_eq!(opened(files).await.1, None, "once is enough");
}

/// What it does to a file, and whether events must be missing afterwards.
type Loss = (fn(&mut Vec<u8>), bool);

/// Opening a database does not look at all of it: such damage is found while it is used.
async fn pages_and_ends_may_be_lost<F: Breakable>(files: &mut F) {
    let losses: [Loss; 3] = [
        (
            |bytes| {
                // The first pages hold the schema and who is who, without which there is little left.
                let third = bytes.len() / 3 / 8192 * 8192;
                bytes[2 * third..].fill(0xa5);
            },
            true,
        ),
        (|bytes| bytes.truncate(bytes.len() / 2), true),
        (|bytes| bytes.truncate(bytes.len() - 1000), false),
    ];
    for (mut alter, loses) in losses {
        filled_with(MANY, files).await;
        files.alter(NAME, &mut alter).await;
        let (mut store, mut recovered) = opened(files).await;
        if recovered.is_none() {
            drop(store);
            mend::put_aside(files, NAME, NOW).await.expect("put aside");
            (store, recovered) = opened(files).await;
        }
        let events = recovered.expect("it was damaged").events as usize;
        assert_eq!(notes(&store), events, "what is left holds together");
        assert!(events > 0 && (events < MANY || !loses), "{events} of {MANY}");
        let more = note(&person(1), "and it goes on", 3000);
        assert_eq!(store.put(&[more], NOW), Ok(vec![Put::Stored]));
    }
}

async fn few_are_kept<F: Breakable>(files: &mut F) {
    filled(files).await;
    for _ in 0..MAX_KEPT + 2 {
        files.alter(NAME, &mut |bytes| bytes[..4096].fill(7)).await;
        assert_eq!(notes(&opened(files).await.0), NOTES);
    }
    assert_eq!(copies(files).len(), MAX_KEPT);
}

/// At every step: what follows it never happens, and the next start finds the files as they are then.
async fn an_interruption_is_taken_up<F: Breakable>(files: &mut F) {
    for steps in 0.. {
        filled(files).await;
        files.alter(NAME, &mut |bytes| bytes[..4096].fill(7)).await;
        let mut failing = Failing {
            files,
            steps,
            full: None,
        };
        let interrupted = mend::open(&mut failing, NAME, NOW).await.is_err();
        let (store, _) = opened(files).await;
        assert_eq!(notes(&store), NOTES, "after {steps} steps");
        assert!(store.setting(RECOVERED).is_ok_and(|told| told.is_some()));
        drop(store);
        assert_eq!(copies(files).len(), 1, "after {steps} steps");
        let names = files.names().expect("names");
        assert!(!names.iter().any(|name| name.contains("recovering")), "{names:?}");
        if !interrupted {
            assert!(steps > 5, "the steps are counted");
            return;
        }
    }
}

async fn older_ones_give_way<F: Breakable>(files: &mut F) {
    filled(files).await;
    for round in 0..MAX_KEPT {
        files.alter(NAME, &mut |bytes| bytes[..4096].fill(7)).await;
        let full = (round + 1 == MAX_KEPT).then_some(1);
        let mut failing = Failing {
            files,
            steps: usize::MAX,
            full,
        };
        let (store, _) = mend::open(&mut failing, NAME, NOW).await.expect("room");
        assert_eq!(notes(&store), NOTES);
    }
    assert_eq!(copies(files).len(), 1, "the others made room");
}

async fn filled<F: Breakable>(files: &mut F) {
    filled_with(NOTES, files).await;
}

async fn filled_with<F: Breakable>(count: usize, files: &mut F) {
    for name in files.names().expect("names") {
        files.remove(&name).expect("removed");
    }
    let (mut store, recovered) = opened(files).await;
    assert_eq!(recovered, None);
    let events: Vec<_> = (0..count as u64)
        .map(|n| note(&person(1), &noise(n), n))
        .collect();
    let stored = store.put(&events, NOW).expect("a sound store");
    assert!(stored.iter().all(|put| *put == Put::Stored));
}

/// Text that cannot be packed.
fn noise(seed: u64) -> String {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    });
    words.take(40).collect()
}

async fn opened<F: Files>(files: &mut F) -> (SqliteStore, Option<Recovered>) {
    mend::open(files, NAME, NOW).await.expect("a database")
}

fn notes(store: &SqliteStore) -> usize {
    let page = store
        .timeline(Scope::Everyone, None, 2 * MANY)
        .expect("a sound store");
    page.notes.len()
}

fn copies<F: Files>(files: &F) -> Vec<String> {
    mend::kept(NAME, &files.names().expect("names"))
}

fn content<F: Files>(files: &F, name: &str) -> Vec<u8> {
    let mut file = files.read(name).expect("it is there");
    let mut bytes = vec![0; file.size() as usize];
    assert_eq!(file.read_at(0, &mut bytes), bytes.len());
    bytes
}

/// Files that take so many steps and no more, or are full while more than so many damaged ones are kept.
struct Failing<'a, F> {
    files: &'a mut F,
    steps: usize,
    full: Option<usize>,
}

impl<F: Files> Failing<'_, F> {
    fn step(&mut self) -> Result<(), StoreError> {
        let full = self.full.is_some_and(|most| copies(self.files).len() > most);
        if self.steps > 0 && !full {
            self.steps -= 1;
            return Ok(());
        }
        Err(StoreError {
            context: "testing",
            reason: "interrupted".to_owned(),
            full,
            damaged: false,
        })
    }
}

impl<F: Files> Files for Failing<'_, F> {
    const LOG: &'static str = F::LOG;
    const KEPT_LOG: &'static str = F::KEPT_LOG;

    fn names(&self) -> Result<Vec<String>, StoreError> {
        self.files.names()
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if self.full.is_none() {
            self.step()?;
        }
        self.files.remove(name)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<(), StoreError> {
        if self.full.is_none() {
            self.step()?;
        }
        self.files.rename(from, to).await
    }

    async fn open(&mut self, name: &str) -> Result<SqliteStore, StoreError> {
        if self.full.is_none() || name != NAME {
            self.step()?;
        }
        self.files.open(name).await
    }

    fn read(&self, name: &str) -> Result<Box<dyn Bytes>, StoreError> {
        self.files.read(name)
    }
}
