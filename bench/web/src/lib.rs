//! Sazanami's store and verification as the browser's worker runs them, callable from a benchmark page.
#![cfg(target_arch = "wasm32")]

use nostr::prelude::{Event, Keys};
use sazanami_core::corpus::Plan;
use sazanami_core::social::{KINDS, follows_event};
use sazanami_core::store::{Page, Scope, SqliteStore, Store};
use sazanami_core::time::Millis;
use sazanami_core::verify;
use sqlite_wasm_rs::WasmOsCallback;
use sqlite_wasm_vfs::sahpool::{OpfsSAHPoolCfgBuilder, install};
use wasm_bindgen::prelude::wasm_bindgen;

mod clock;

/// Events in a transaction, as the node stores them.
const BATCH: usize = 512;
/// Notes on a page of the interface.
const PAGE_NOTES: usize = 50;

/// A database on OPFS and the events to put into it.
#[wasm_bindgen]
pub struct Bench {
    store: SqliteStore,
    events: Vec<Event>,
    /// Numbers of events that verifying workers have found to hold.
    verified: Vec<usize>,
    plan: Plan,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[wasm_bindgen]
impl Bench {
    /// Opens a database in the pool of files.
    pub async fn open(name: &str, seed: u64, events: usize) -> Result<Self, String> {
        console_error_panic_hook::set_once();
        let pool = OpfsSAHPoolCfgBuilder::new()
            .directory("sazanami-bench")
            .initial_capacity(8)
            .build();
        install::<WasmOsCallback>(&pool, true).await.map_err(text)?;
        Ok(Self {
            store: SqliteStore::open(name).map_err(text)?,
            events: Vec::new(),
            verified: Vec::new(),
            plan: Plan::new(seed, events),
        })
    }

    /// Parses events (JSON lines), to be put by [`Bench::put`]; answers how many are of kinds that are kept.
    pub fn load(&mut self, lines: &str) -> Result<usize, String> {
        self.events = parse(lines)?;
        self.events.retain(|event| KINDS.contains(&event.kind));
        Ok(self.events.len())
    }

    /// Stores what was loaded, durably; verified here first unless others did. Answers milliseconds.
    pub fn put(&mut self, verify: bool) -> Result<f64, String> {
        let now = self.now();
        let begun = clock::now_ms();
        for batch in self.events.chunks(BATCH) {
            let put = if verify {
                self.store.put(batch, now)
            } else {
                self.store.put_verified(batch, now)
            };
            put.map_err(text)?;
            self.store.take_changes();
        }
        Ok(clock::now_ms() - begun)
    }

    /// Some of what was loaded, for a verifying worker.
    pub fn job(&self, from: usize, to: usize) -> Vec<u8> {
        verify::encode(&self.events[from..to])
    }

    /// Takes a verifying worker's answer, and stores what holds once there are many. Tells whether it stored.
    pub fn answered(&mut self, from: usize, holds: &[u8]) -> Result<bool, String> {
        let holds = holds.iter().enumerate().filter(|(_, holds)| **holds == 1);
        self.verified.extend(holds.map(|(n, _)| from + n));
        if self.verified.len() < BATCH {
            return Ok(false);
        }
        self.store_verified()?;
        Ok(true)
    }

    /// Stores what verifying workers have found to hold, durably, in one transaction.
    pub fn store_verified(&mut self) -> Result<(), String> {
        let batch: Vec<Event> = self.verified.drain(..).map(|n| self.events[n].clone()).collect();
        let now = self.now();
        self.store.put_verified(&batch, now).map_err(text)?;
        self.store.take_changes();
        Ok(())
    }

    /// How many events are stored.
    pub fn count(&self) -> Result<usize, String> {
        let report = self.store.report().map_err(text)?;
        usize::try_from(report.events.events).map_err(text)
    }

    /// Lets reader 0 follow `people` of all ranks, and reader 1 the quietest `quiet`.
    pub fn follow(&mut self, people: usize, quiet: usize) -> Result<(), String> {
        let keys: Vec<_> = self.plan.people().iter().map(Keys::public_key).collect();
        let every = (keys.len() / people).max(1);
        let evenly: Vec<_> = keys.iter().step_by(every).take(people).copied().collect();
        let (dense, sparse) = (self.plan.reader(0), self.plan.reader(1));
        let now = self.now();
        let lists = [
            follows_event(&dense, &evenly, now),
            follows_event(&sparse, &keys[keys.len() - quiet..], now),
        ];
        self.store.put(&lists, now).map(drop).map_err(text)
    }

    /// A page of a reader's home timeline, encoded as the app's worker does.
    pub fn home(&self, reader: u64) -> Result<Vec<u8>, String> {
        let scope = Scope::FollowedBy(self.plan.reader(reader).public_key());
        let page = self.store.timeline(scope, None, PAGE_NOTES).map_err(text)?;
        postcard::to_allocvec(&page).map_err(text)
    }

    /// Stores one signed event by itself, as a post is; answers milliseconds.
    pub fn put_one(&mut self, line: &str) -> Result<f64, String> {
        let events = parse(line)?;
        let now = self.now();
        let begun = clock::now_ms();
        self.store.put(&events, now).map_err(text)?;
        Ok(clock::now_ms() - begun)
    }

    fn now(&self) -> Millis {
        Millis((self.plan.end() + 3_600) * 1_000)
    }
}

/// Decodes a page as the app's page does; answers how many notes are on it.
#[wasm_bindgen]
pub fn decode(page: &[u8]) -> Result<usize, String> {
    let page: Page = postcard::from_bytes(page).map_err(text)?;
    Ok(page.notes.len())
}

/// The people whom the readers follow: as hex keys, a line each.
#[wasm_bindgen]
pub fn followed(seed: u64, events: usize, people: usize, quiet: usize, sparse: bool) -> String {
    let keys = Plan::new(seed, events).people();
    let hex = |keys: &Keys| keys.public_key().to_hex();
    let lines: Vec<String> = if sparse {
        keys[keys.len() - quiet..].iter().map(hex).collect()
    } else {
        let every = (keys.len() / people).max(1);
        keys.iter().step_by(every).take(people).map(hex).collect()
    };
    lines.join("\n")
}

/// Verifies events (JSON lines) as a verifying worker does; answers milliseconds.
#[wasm_bindgen]
pub fn verify_lines(lines: &str) -> Result<f64, String> {
    let events = parse(lines)?;
    let mut verifier = verify::Verifier::new();
    let begun = clock::now_ms();
    for event in &events {
        verifier.verify(event).map_err(text)?;
    }
    Ok(clock::now_ms() - begun)
}

/// What runs in a verifying worker.
#[wasm_bindgen]
pub struct Verifier(verify::Verifier);

#[wasm_bindgen]
impl Verifier {
    /// One that has seen nothing.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self(verify::Verifier::new())
    }

    /// Which events of a job hold: a byte for each, 1 for yes.
    pub fn verify(&mut self, job: &[u8]) -> Vec<u8> {
        self.0.verify_encoded(job).into_iter().map(u8::from).collect()
    }
}

fn parse(lines: &str) -> Result<Vec<Event>, String> {
    lines
        .lines()
        .map(|line| Event::from_json(line).map_err(text))
        .collect()
}
