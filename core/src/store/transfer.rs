//! Everything of a store as one file, and back.
//!
//! The file is an uncompressed tar archive: `events/000001.jsonl` and so on hold the events as JSON lines (NIP-01), as
//! other Nostr tools read and write them, `media/<sha256>` the images and files. Without media it is a plain `.jsonl`.
//! No secret key is ever in it.
//!
//! [`Export`] and [`Import`] are state machines that a node or a platform pumps, in pieces of bounded size; between two
//! pieces it may show [`Export::progress`] or [`Import::progress`], or stop by dropping them. What an import has taken
//! in by then stays; doing it again changes nothing.

use crate::store::StoreError;

mod export;
mod import;
mod tar;

pub use export::{Export, Exported, Format};
pub use import::{Import, Imported};

/// Largest image or file in an archive, in bytes; the store of blobs takes no larger ones.
pub const MAX_MEDIA: u64 = 64 * 1024 * 1024;
/// Longest line, in bytes: other tools may escape every character of the largest event.
pub const MAX_LINE: usize = 8 * crate::social::MAX_EVENT_BYTES;
/// Lines that are no event or do not prove themselves, before a file counts as hostile: each costs a verification.
pub const MAX_REFUSED: u64 = 10_000;

/// Where an export reads images and files from.
pub trait MediaSource {
    /// The first one whose hash lies after `after`: its SHA-256 and its size in bytes.
    ///
    /// # Errors
    /// When the storage fails; so for every call below.
    fn next(&self, after: Option<[u8; 32]>) -> Result<Option<([u8; 32], u64)>, TransferError>;

    /// Reads from `offset` on; how many bytes were read.
    fn read(&self, hash: &[u8; 32], offset: u64, buffer: &mut [u8]) -> Result<usize, TransferError>;
}

/// Where an import puts images and files. One at a time: `begin`, its bytes in order, `finish`.
pub trait MediaSink {
    /// Announces one; false when it is here already, or not wanted. `own` tells that an event of this person in the
    /// file is about it. One that was begun and not finished is forgotten.
    ///
    /// # Errors
    /// When the storage fails or is full; so for every call below.
    fn begin(&mut self, hash: &[u8; 32], size: u64, own: bool) -> Result<bool, TransferError>;

    /// The next bytes.
    fn append(&mut self, bytes: &[u8]) -> Result<(), TransferError>;

    /// All bytes are there, and whether they have the announced hash: else they are to be forgotten. Answers whether
    /// they are kept.
    fn finish(&mut self, genuine: bool) -> Result<bool, TransferError>;
}

/// No images and files: nothing to export, everything left out of an import.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMedia;

impl MediaSource for NoMedia {
    fn next(&self, _after: Option<[u8; 32]>) -> Result<Option<([u8; 32], u64)>, TransferError> {
        Ok(None)
    }

    fn read(&self, _hash: &[u8; 32], _offset: u64, _buffer: &mut [u8]) -> Result<usize, TransferError> {
        Ok(0)
    }
}

impl MediaSink for NoMedia {
    fn begin(&mut self, _hash: &[u8; 32], _size: u64, _own: bool) -> Result<bool, TransferError> {
        Ok(false)
    }

    fn append(&mut self, _bytes: &[u8]) -> Result<(), TransferError> {
        Ok(())
    }

    fn finish(&mut self, _genuine: bool) -> Result<bool, TransferError> {
        Ok(false)
    }
}

/// Why an export or an import cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The storage of images and files failed.
    #[error("images and files: {0}")]
    Media(String),
    /// There is no room for more.
    #[error("the storage is full")]
    Full,
    /// Neither JSON lines nor an archive as an export writes it.
    #[error("this is not an export of posts (.jsonl or .tar): {0}")]
    NotAnExport(&'static str),
    /// It ends in the middle.
    #[error("the file is incomplete")]
    Incomplete,
    /// Too much of it is no event, or forged.
    #[error("too many entries of the file are broken or forged")]
    Hostile,
}
