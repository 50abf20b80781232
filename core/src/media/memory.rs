//! Blobs in memory.

use std::collections::BTreeMap;

use super::{BlobError, BlobId, Blobs, DEFAULT_BUDGET, Entry, Keep, Medium};

/// A blob store that is gone with its process.
pub type MemoryBlobs = Blobs<MemoryMedium>;

impl MemoryBlobs {
    /// An empty store.
    pub fn in_memory(budget: u64) -> Self {
        Self::open(MemoryMedium::default(), budget).expect("nothing is read from an empty medium")
    }
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::in_memory(DEFAULT_BUDGET)
    }
}

/// Bytes in memory. Opened again by another [`Blobs`], it behaves as a disk does.
#[derive(Debug, Default)]
pub struct MemoryMedium {
    blobs: BTreeMap<BlobId, (Entry, Vec<u8>)>,
}

impl MemoryMedium {
    fn change(
        &mut self,
        id: &BlobId,
        change: impl FnOnce(&mut Entry, &mut Vec<u8>),
    ) -> Result<(), BlobError> {
        let (entry, bytes) = self.blobs.get_mut(id).ok_or(BlobError::Damaged(*id))?;
        change(entry, bytes);
        Ok(())
    }
}

impl Medium for MemoryMedium {
    fn found(&mut self) -> Result<Vec<(BlobId, Entry)>, BlobError> {
        Ok(self.blobs.iter().map(|(id, (entry, _))| (*id, *entry)).collect())
    }

    fn create(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError> {
        self.blobs.insert(*id, (*entry, Vec::new()));
        Ok(())
    }

    fn append(&mut self, id: &BlobId, _: &Entry, more: &[u8]) -> Result<(), BlobError> {
        self.change(id, |entry, bytes| {
            bytes.extend_from_slice(more);
            entry.have = bytes.len() as u64;
        })
    }

    fn read(&self, id: &BlobId, _: &Entry, offset: u64, into: &mut [u8]) -> Result<(), BlobError> {
        let (_, bytes) = self.blobs.get(id).ok_or(BlobError::Damaged(*id))?;
        let start = usize::try_from(offset).map_err(|_| BlobError::Damaged(*id))?;
        let range = bytes.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(range.ok_or(BlobError::Damaged(*id))?);
        Ok(())
    }

    fn commit(&mut self, id: &BlobId, committed: &Entry) -> Result<(), BlobError> {
        self.change(id, |entry, _| {
            *entry = Entry {
                whole: true,
                ..*committed
            };
        })
    }

    fn rest(&mut self, _: &BlobId, _: &Entry) -> Result<(), BlobError> {
        Ok(())
    }

    fn touch(&mut self, id: &BlobId, touched: &Entry) {
        if let Some((entry, _)) = self.blobs.get_mut(id) {
            entry.used = touched.used;
        }
    }

    fn set_keep(&mut self, id: &BlobId, _: &Entry, keep: Keep) -> Result<(), BlobError> {
        self.change(id, |entry, _| entry.keep = keep)
    }

    fn remove(&mut self, id: &BlobId, _: &Entry) -> Result<(), BlobError> {
        self.blobs.remove(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[test]
    fn keeps_the_contract() {
        conformance::suite(|_, budget| MemoryBlobs::in_memory(budget));
    }

    #[test]
    fn is_found_again() {
        let mut medium = MemoryMedium::default();
        conformance::durable(|before: Option<MemoryBlobs>| {
            let medium = before.map_or_else(|| std::mem::take(&mut medium), Blobs::into_medium);
            Blobs::open(medium, DEFAULT_BUDGET).unwrap()
        });
    }
}
