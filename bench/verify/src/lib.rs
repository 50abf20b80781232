//! Verification in wasm, for `run.mjs`.

use std::time::Duration;

use nostr::prelude::{Event, EventBuilder, FinalizeEvent, Keys, Kind, SecretKey, Tag, Timestamp};
use universal_time::{Instant, MonotonicClock, SystemTime, WallClock, define_time_provider};
use wasm_bindgen::prelude::wasm_bindgen;

struct NoClock;

impl WallClock for NoClock {
    fn system_time(&self) -> SystemTime {
        SystemTime::from_unix_duration(Duration::from_secs(1_700_000_000))
    }
}

impl MonotonicClock for NoClock {
    fn instant(&self) -> Instant {
        Instant::from_ticks(Duration::ZERO)
    }
}

define_time_provider!(NoClock);

const TEXTS: [&str; 4] = [
    "さざなみは、会社のいないソーシャルネットワークです。",
    "Every peer is a relay: what arrives is checked, kept and passed on to whoever wants it.",
    "今日は海まで歩いた。波の音がよく聞こえる夕方だった。明日もいい天気だといいな。",
    "gm",
];

/// Numbers that repeat for a seed (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// `count` signed events of `people` authors, of whom the n-th writes 1/n as much as the first, as a JSON array.
#[wasm_bindgen]
pub fn make(count: usize, people: usize, seed: u64) -> String {
    let mut random = Random(seed | 1);
    let keys: Vec<Keys> = (1..=people)
        .map(|n| {
            let mut secret = [0x5a; 32];
            secret[..8].copy_from_slice(&(n as u64).to_be_bytes());
            Keys::new(SecretKey::from_slice(&secret).expect("it is below the order"))
        })
        .collect();
    let total: f64 = (1..=people).map(|n| 1.0 / n as f64).sum();
    let mut author = || {
        let mut left = (random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
        let place = (1..=people).position(|n| {
            left -= 1.0 / n as f64;
            left <= 0.0
        });
        (place.unwrap_or(0), random.next())
    };
    let events: Vec<Event> = (0..count)
        .map(|n| {
            let (place, other) = author();
            let (kind, text) = if other % 3 == 0 {
                (Kind::Reaction, "+".to_owned())
            } else {
                (
                    Kind::TextNote,
                    format!("{} {n}", TEXTS[other as usize % TEXTS.len()]),
                )
            };
            let tagged = keys[other as usize % people].public_key();
            EventBuilder::new(kind, text)
                .tag(Tag::public_key(tagged))
                .custom_created_at(Timestamp::from_secs(1_700_000_000 + n as u64))
                .finalize(&keys[place])
                .expect("keys sign")
        })
        .collect();
    serde_json::to_string(&events).expect("events serialise")
}

/// Parsed events.
#[wasm_bindgen]
pub struct Events(Vec<Event>);

#[wasm_bindgen]
impl Events {
    /// Reads a JSON array.
    #[wasm_bindgen(constructor)]
    pub fn new(json: &str) -> Self {
        Self(serde_json::from_str(json).expect("a JSON array of events"))
    }

    /// How many hold, each looked at alone.
    pub fn verify(&self) -> usize {
        self.0
            .iter()
            .filter(|event| sazanami_core::store::verify(event).is_ok())
            .count()
    }

    /// How many ids are right: what of the time is not the signature.
    pub fn ids(&self) -> usize {
        self.0.iter().filter(|event| event.verify_id()).count()
    }
}

/// What the node's verifiers use: it keeps authors' keys.
#[wasm_bindgen]
pub struct Verifier(sazanami_core::verify::Verifier);

#[wasm_bindgen]
impl Verifier {
    /// One that has seen nothing.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self(sazanami_core::verify::Verifier::new())
    }

    /// How many hold.
    pub fn verify(&mut self, events: &Events) -> usize {
        events
            .0
            .iter()
            .filter(|event| self.0.verify(event).is_ok())
            .count()
    }

    /// How many of what was encoded hold: what a verifying worker does.
    pub fn verify_encoded(&mut self, bytes: &[u8]) -> usize {
        self.0
            .verify_encoded(bytes)
            .into_iter()
            .filter(|holds| *holds)
            .count()
    }
}

/// Events as they go to a verifying worker: what the node's own worker spends on it.
#[wasm_bindgen]
pub fn encode(events: &Events) -> Vec<u8> {
    sazanami_core::verify::encode(&events.0)
}
