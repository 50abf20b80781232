//! What the fuzz targets share: fixed people, a fixed clock, and hostile input with enough structure to get past the
//! first check.
//!
//! Input comes as bytes that `arbitrary` reads. Nothing here takes keys or time from outside, so that an input that
//! failed once fails again.

mod events;
mod said;
mod wire;

pub use events::{Written, event_pool, is_of_pool};
pub use said::{Name, Said, Speaker};
pub use wire::{Unjoined, fits_the_wire};

use sazanami_core::Keys;
use sazanami_core::signaling::SessionId;
use sazanami_core::time::Millis;

/// When everything begins.
pub const START: Millis = Millis(1_700_000_000_000);

/// People, and sessions too, that a script can name.
pub const PEOPLE: u8 = 5;

/// The n-th key pair, the same in every run.
pub fn person(n: u8) -> Keys {
    use std::sync::OnceLock;
    static ALL: OnceLock<Vec<Keys>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        (1..=PEOPLE)
            .map(|n| {
                let secret = nostr::prelude::SecretKey::from_slice(&[n; 32]);
                Keys::new(secret.expect("a small number is a secret key"))
            })
            .collect()
    });
    all[usize::from(n % PEOPLE)].clone()
}

/// The n-th session.
pub fn session(n: u8) -> SessionId {
    SessionId(person(n).public_key())
}
