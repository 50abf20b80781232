//! What a person is told when their database was damaged and has been put together again.

use serde::{Deserialize, Serialize};

/// The setting under which a store keeps a [`Recovered`] as JSON until the person has seen it.
pub const RECOVERED: &str = "storage-recovered";

/// The setting under which a store on disk keeps whose device this is: a public key in hexadecimal.
pub const OWNER: &str = "store.me";

/// What became of a damaged database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Events that were found, verified and kept.
    pub events: u64,
    /// Events of which there was a trace and no more. What was lost without a trace is not counted.
    pub lost: u64,
    /// When, in seconds since the epoch.
    pub at: u64,
}

impl Recovered {
    /// Reads the setting [`RECOVERED`].
    pub fn read(setting: &str) -> Option<Self> {
        serde_json::from_str(setting).ok()
    }
}
