//! Images and files as content-addressed blobs: the [`BlobStore`] trait and its implementations.
//!
//! A blob's name is the SHA-256 of its bytes, as NIP-92 (`imeta`, field `x`) and Blossom (BUD-01) have it, so that
//! anybody may hold and pass it on. A blob that is being fetched is a *partial*: it survives a restart, and becomes
//! visible only once its hash has been checked.
//!
//! - [`Blobs`]: the one implementation of rules (order, hash, budget, what is dropped first) over a [`Medium`]
//! - [`MemoryBlobs`]: in memory, for the simulation and sessions without storage
//! - [`slab`]: blobs within a few files that are open all the time, as the browser's private file system needs it
//! - `conformance` (feature `conformance`): what every implementation does

use serde::{Deserialize, Serialize};

use crate::time::Millis;

mod blobs;
#[cfg(feature = "conformance")]
pub mod conformance;
mod id;
mod memory;
pub mod slab;

pub use blobs::{Blobs, Entry, Medium};
pub use id::{BlobId, NotABlobId};
pub use memory::{MemoryBlobs, MemoryMedium};

/// Largest blob, in bytes: some minutes of a phone's video. Larger files are for other tools.
pub const MAX_BLOB: u64 = 64 * 1024 * 1024;

/// What blobs may take where nobody has chosen: room for thousands of pictures, little beside a browser's quota.
pub const DEFAULT_BUDGET: u64 = 1024 * 1024 * 1024;

/// Why a blob is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Keep {
    /// Somebody else's: the least recently used goes first when room is needed.
    Cached,
    /// The person's own: never dropped, and taken in even when the budget is used up.
    Own,
}

/// What is here of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub id: BlobId,
    /// Its size in bytes; of a partial: as it was announced.
    pub size: u64,
    /// How many bytes, from the beginning, are here.
    pub have: u64,
    /// Whether it is complete and verified.
    pub whole: bool,
    /// Why it is kept.
    pub keep: Keep,
    /// When it was last used.
    pub used: Millis,
}

/// A partial that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes, from the beginning, are here: where [`BlobStore::append`] goes on.
    pub have: u64,
    /// The SHA-256 of these bytes. A fetcher that changes its source notes it, to tell later who sent what.
    pub digest: [u8; 32],
}

/// What [`BlobStore::begin`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The blob is here already.
    Whole,
    /// Some of it is, or nothing.
    Partial(Progress),
}

/// What [`BlobStore::finish`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The hash is right: the blob is on disk and visible.
    Verified,
    /// The bytes are not those of this name; they are gone.
    Wrong,
}

/// What blobs take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Own blobs.
    pub own: u64,
    /// Others', complete.
    pub cached: u64,
    /// What is here of incomplete ones.
    pub partial: u64,
    /// What all of it may take; own blobs may exceed it.
    pub budget: u64,
}

impl Usage {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.own + self.cached + self.partial
    }
}

/// What could not be done with a blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Own blobs and transfers under way leave no room within the budget.
    #[error("the space for others' media is used up")]
    OverBudget,
    /// The disk or the quota is full.
    #[error("the storage is full")]
    DiskFull,
    /// Over [`MAX_BLOB`].
    #[error("a blob of {0} bytes is larger than {MAX_BLOB}")]
    TooLarge(u64),
    /// Not begun, not where the last bytes ended, or more bytes than announced: the caller's mistake.
    #[error("bytes out of turn: {0}")]
    OutOfTurn(&'static str),
    /// Bytes that were here are gone or unreadable.
    #[error("the blob {0} is damaged")]
    Damaged(BlobId),
    /// The file system failed.
    #[error("{context}: {reason}")]
    Storage {
        /// What was being done.
        context: &'static str,
        /// In the system's words.
        reason: String,
    },
}

impl BlobError {
    /// Whether there is no room: foreign blobs have to wait, and the person should know.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::OverBudget | Self::DiskFull)
    }
}

/// Blobs, durably. All calls block, like those of [`crate::store::Store`]: they run next to the node.
pub trait BlobStore {
    /// Opens a partial for writing, new or from where it was left, or says that the blob is whole. A whole blob that
    /// is begun as [`Keep::Own`] is kept as such from now on. A partial of another `size` is started over.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`]; [`BlobError::OverBudget`] for a foreign blob without room beside own blobs and other
    /// open partials; else when the storage fails, as with every call below.
    fn begin(&mut self, id: BlobId, size: u64, keep: Keep, now: Millis) -> Result<Begun, BlobError>;

    /// Adds bytes to an open partial, exactly where the last ones ended. Drops others' blobs for room.
    ///
    /// # Errors
    /// [`BlobError::OutOfTurn`] for bytes that do not follow, [`BlobError::OverBudget`] or [`BlobError::DiskFull`]
    /// without room; the partial stays as it was.
    fn append(&mut self, id: &BlobId, offset: u64, bytes: &[u8], now: Millis) -> Result<(), BlobError>;

    /// How far an open partial is.
    fn progress(&self, id: &BlobId) -> Option<Progress>;

    /// Checks the hash of an open partial that has all its bytes. [`Finished::Verified`] comes after they are on disk.
    fn finish(&mut self, id: &BlobId, now: Millis) -> Result<Finished, BlobError>;

    /// Closes an open partial and keeps its bytes for another time, as far as there is room.
    fn pause(&mut self, id: &BlobId) -> Result<(), BlobError>;

    /// Removes a blob, whole or partial, whoever's it is. False when there was none.
    fn remove(&mut self, id: &BlobId) -> Result<bool, BlobError>;

    /// At most `length` bytes of a whole blob from `offset`; fewer at its end. `None` when it is not here.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when the bytes have gone.
    fn read(&self, id: &BlobId, offset: u64, length: usize) -> Result<Option<Vec<u8>>, BlobError>;

    /// What is here of a blob.
    fn info(&self, id: &BlobId) -> Option<BlobInfo>;

    /// Notes that the person has looked at a blob.
    fn touch(&mut self, id: &BlobId, now: Millis);

    /// Changes why a blob is kept. False when it is not here.
    fn set_keep(&mut self, id: &BlobId, keep: Keep) -> Result<bool, BlobError>;

    /// Everything that is here, least recently used first.
    fn list(&self) -> Vec<BlobInfo>;

    /// What it takes.
    fn usage(&self) -> Usage;

    /// Sets how many bytes blobs may take, and drops others' blobs until they do.
    fn set_budget(&mut self, bytes: u64) -> Result<(), BlobError>;

    /// Keeps bytes that are here already; answers their name once they are on disk.
    ///
    /// # Errors
    /// As for [`BlobStore::begin`] and [`BlobStore::append`].
    fn put(&mut self, bytes: &[u8], keep: Keep, now: Millis) -> Result<BlobId, BlobError> {
        let id = BlobId::of(bytes);
        let size = bytes.len() as u64;
        if let Begun::Partial(progress) = self.begin(id, size, keep, now)? {
            // What is left of an earlier attempt may be wrong; these bytes are right.
            if progress.have > 0 {
                self.remove(&id)?;
                self.begin(id, size, keep, now)?;
            }
            let done = self
                .append(&id, 0, bytes, now)
                .and_then(|()| self.finish(&id, now));
            if let Err(error) = done {
                self.remove(&id)?;
                return Err(error);
            }
        }
        Ok(id)
    }

    /// All bytes of a whole blob, their hash checked again: a disk can rot. A damaged blob is removed, so that it can
    /// be fetched again. `None` when it is not here.
    fn read_checked(&mut self, id: &BlobId, now: Millis) -> Result<Option<Vec<u8>>, BlobError> {
        let Some(info) = self.info(id).filter(|info| info.whole) else {
            return Ok(None);
        };
        let length = usize::try_from(info.size).map_err(|_| BlobError::TooLarge(info.size))?;
        match self.read(id, 0, length) {
            Ok(Some(bytes)) if BlobId::of(&bytes) == *id => {
                self.touch(id, now);
                Ok(Some(bytes))
            }
            Ok(_) | Err(BlobError::Damaged(_)) => {
                self.remove(id)?;
                Err(BlobError::Damaged(*id))
            }
            Err(error) => Err(error),
        }
    }
}
