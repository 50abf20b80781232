//! Blobs within one large file, for platforms where opening a file takes time that a blocking call does not have.
//!
//! The browser's private file system opens files asynchronously, but reads and writes open ones at once. So three
//! files are opened at the start: one holds the bytes, in blocks of [`BLOCK`]; two take turns as a log of what lies
//! where ([`log`]). A blob is whole once its record is in the log, which is written after its bytes have been flushed.
//! Blocks of a removed blob are used again only after its removal has been flushed, so that a crash never leaves a
//! whole blob with another's bytes.

use std::collections::BTreeMap;

use super::{BlobError, BlobId, Entry, Keep, Medium};

mod log;
mod space;

use log::{Log, Record};
use space::{Extent, Space};

/// The unit of space, in bytes: half of it is lost per blob, on average.
pub const BLOCK: u64 = 16 * 1024;
/// Blocks that a growing partial takes at a time: 1 MiB. Each time its progress becomes durable.
const RUN: u32 = 64;
/// Blocks of removed blobs that may wait for the log to be flushed: 1 MiB.
const MAX_WAITING: u64 = 64;

/// An open file whose calls take effect at once.
pub trait SlabFile {
    /// Reads up to so many bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// When the file system fails; so for every call below.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, BlobError>;

    /// Writes all of it, extending the file where it has to.
    ///
    /// # Errors
    /// [`BlobError::DiskFull`] when it does not fit.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BlobError>;

    /// Returns once everything written is on disk.
    fn flush(&mut self) -> Result<(), BlobError>;

    /// How long the file is.
    fn size(&self) -> Result<u64, BlobError>;

    /// Cuts the file.
    fn truncate(&mut self, size: u64) -> Result<(), BlobError>;
}

/// A partial or whole blob's place.
#[derive(Clone, Debug)]
struct Placed {
    entry: Entry,
    extents: Vec<Extent>,
}

/// A medium of three files.
pub struct Slab<F> {
    data: F,
    log: Log<F>,
    placed: BTreeMap<BlobId, Placed>,
    space: Space,
}

impl<F: SlabFile> Slab<F> {
    /// Opens what three files hold; all may be empty. They must not be open elsewhere.
    ///
    /// # Errors
    /// When they cannot be read, or both logs are damaged.
    pub fn open(data: F, logs: [F; 2]) -> Result<Self, BlobError> {
        let (log, placed) = Log::open(logs)?;
        let mut slab = Self {
            data,
            log,
            placed: BTreeMap::new(),
            space: Space::default(),
        };
        let length = slab.data.size()?;
        for (id, blob) in placed {
            let pieces = || pieces(&blob.extents, 0, blob.entry.have);
            let there = pieces().map(|(_, bytes)| bytes as u64).sum::<u64>() == blob.entry.have
                && pieces().all(|(place, bytes)| place + bytes as u64 <= length);
            if there && slab.space.take(&blob.extents) {
                slab.placed.insert(id, blob);
            } else {
                tracing::warn!(%id, "a blob's place is damaged");
                slab.log.write(&id, Record::Removed, &slab.placed)?;
            }
        }
        slab.settle()?;
        Ok(slab)
    }

    /// Forgets everything that three files hold.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn clear(data: &mut F, logs: &mut [F; 2]) -> Result<(), BlobError> {
        for file in logs.iter_mut().chain([data]) {
            file.truncate(0)?;
            file.flush()?;
        }
        Ok(())
    }

    /// Ends the medium and gives back its files.
    pub fn into_files(self) -> (F, [F; 2]) {
        (self.data, self.log.into_files())
    }

    /// Makes removals durable; then their blocks can be used again, and the file be cut.
    fn settle(&mut self) -> Result<(), BlobError> {
        self.log.tidy(&self.placed)?;
        self.log.flush()?;
        self.space.reclaim();
        let length = self.space.end() * BLOCK;
        if self.data.size()? > length {
            self.data.truncate(length)?;
        }
        Ok(())
    }

    /// Gives back blocks that hold nothing: past the end of a full disk they are of no use.
    fn shrink(&mut self, id: &BlobId, entry: &Entry) {
        let Some(blob) = self.placed.get_mut(id) else {
            return;
        };
        let mut needed = u32::try_from(entry.have.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let mut unused = Vec::new();
        blob.extents.retain_mut(|extent| {
            let kept = extent.count.min(needed);
            needed -= kept;
            if kept < extent.count {
                unused.push(Extent {
                    start: extent.start + kept,
                    count: extent.count - kept,
                });
                extent.count = kept;
            }
            kept > 0
        });
        self.space.release(unused);
        // A write that fails is made up for before the blocks are used again.
        let _ = self.log.write(id, Record::Placed, &self.placed);
    }

    fn placed(&self, id: &BlobId) -> Result<&Placed, BlobError> {
        self.placed.get(id).ok_or(BlobError::Damaged(*id))
    }

    fn grow(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        if !self.space.has_free() && self.space.waiting() > 0 {
            self.settle()?;
        }
        let taken: u64 = self.placed(id)?.extents.iter().map(Extent::bytes).sum();
        let missing = (entry.size - taken).div_ceil(BLOCK);
        let extent = self
            .space
            .allocate(u32::try_from(missing).unwrap_or(RUN).min(RUN));
        // What was written until now counts from now on.
        if entry.have > 0 {
            self.data.flush()?;
        }
        let Some(blob) = self.placed.get_mut(id) else {
            return Err(BlobError::Damaged(*id));
        };
        blob.entry = *entry;
        blob.extents.push(extent);
        self.log.write(id, Record::Placed, &self.placed)
    }
}

/// The pieces of the file that a range of a blob lies in: place and length.
fn pieces(extents: &[Extent], mut offset: u64, mut length: u64) -> impl Iterator<Item = (u64, usize)> {
    extents.iter().filter_map(move |extent| {
        let size = extent.bytes();
        if offset >= size {
            offset -= size;
            return None;
        }
        let here = length.min(size - offset);
        let place = extent.offset() + offset;
        offset = 0;
        length -= here;
        (here > 0).then_some((place, usize::try_from(here).unwrap_or(usize::MAX)))
    })
}

impl<F: SlabFile> Medium for Slab<F> {
    fn found(&mut self) -> Result<Vec<(BlobId, Entry)>, BlobError> {
        Ok(self.placed.iter().map(|(id, blob)| (*id, blob.entry)).collect())
    }

    fn create(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        let blob = Placed {
            entry: *entry,
            extents: Vec::new(),
        };
        self.placed.insert(*id, blob);
        Ok(())
    }

    fn append(&mut self, id: &BlobId, entry: &Entry, bytes: &[u8]) -> Result<(), BlobError> {
        let length = bytes.len() as u64;
        while self.placed(id)?.extents.iter().map(Extent::bytes).sum::<u64>() < entry.have + length {
            self.grow(id, entry)?;
        }
        let places: Vec<_> = pieces(&self.placed(id)?.extents, entry.have, length).collect();
        let mut rest = bytes;
        for (place, length) in places {
            let (piece, after) = rest.split_at(length);
            if let Err(error) = self.data.write_at(place, piece) {
                self.shrink(id, entry);
                return Err(error);
            }
            rest = after;
        }
        Ok(())
    }

    fn read(&self, id: &BlobId, _: &Entry, offset: u64, into: &mut [u8]) -> Result<(), BlobError> {
        let mut rest = into;
        for (place, length) in pieces(&self.placed(id)?.extents, offset, rest.len() as u64) {
            let (piece, after) = rest.split_at_mut(length);
            if self.data.read_at(place, piece)? < length {
                return Err(BlobError::Damaged(*id));
            }
            rest = after;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(BlobError::Damaged(*id))
        }
    }

    fn commit(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.data.flush()?;
        let Some(blob) = self.placed.get_mut(id) else {
            return Err(BlobError::Damaged(*id));
        };
        blob.entry = Entry {
            whole: true,
            ..*entry
        };
        let written = self
            .log
            .write(id, Record::Placed, &self.placed)
            .and_then(|()| self.log.flush());
        if written.is_err()
            && let Some(blob) = self.placed.get_mut(id)
        {
            blob.entry = *entry;
        }
        written
    }

    fn rest(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.data.flush()?;
        if let Some(blob) = self.placed.get_mut(id) {
            blob.entry = *entry;
        }
        self.log.write(id, Record::Placed, &self.placed)?;
        self.settle()
    }

    fn touch(&mut self, id: &BlobId, entry: &Entry) {
        if let Some(blob) = self.placed.get_mut(id) {
            blob.entry.used = entry.used;
        }
        // A write that fails is made up for by the next one.
        let _ = self.log.write(id, Record::Touched(entry.used), &self.placed);
    }

    fn set_keep(&mut self, id: &BlobId, entry: &Entry, keep: Keep) -> Result<(), BlobError> {
        if let Some(blob) = self.placed.get_mut(id) {
            blob.entry.keep = keep;
        }
        // What the log says of a partial's progress must lie on disk.
        if !entry.whole {
            return Ok(());
        }
        self.log.write(id, Record::Placed, &self.placed)?;
        self.log.flush()
    }

    fn remove(&mut self, id: &BlobId, _: &Entry) -> Result<(), BlobError> {
        let Some(blob) = self.placed.remove(id) else {
            return Ok(());
        };
        self.space.release(blob.extents);
        let mut noted = self.log.write(id, Record::Removed, &self.placed);
        if noted.is_ok() && self.space.waiting() > MAX_WAITING {
            noted = self.settle();
        }
        if let Err(error) = noted {
            // The log is written afresh before any of its blocks is used again.
            tracing::warn!(%id, %error, "the removal of a blob is not noted yet");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
