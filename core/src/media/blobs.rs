//! The rules that every blob store keeps, over whatever holds the bytes.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Begun, BlobError, BlobId, BlobInfo, BlobStore, Finished, Keep, MAX_BLOB, Progress, Usage};
use crate::time::Millis;

/// Bytes read at a time when a partial is taken up again.
const REREAD: usize = 256 * 1024;

/// What a medium knows of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its size in bytes, when whole.
    pub size: u64,
    /// The bytes that are there, from the beginning.
    pub have: u64,
    /// Whether it has been committed.
    pub whole: bool,
    /// Why it is kept.
    pub keep: Keep,
    /// When it was last used.
    pub used: Millis,
}

/// Where bytes lie. It decides nothing: [`Blobs`] calls it in the right order.
pub trait Medium {
    /// Everything that is there, asked once, on opening. Of a partial `have` may be less than was written.
    ///
    /// # Errors
    /// When the storage fails; so for every call below.
    fn found(&mut self) -> Result<Vec<(BlobId, Entry)>, BlobError>;

    /// Makes room for a new partial.
    fn create(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError>;

    /// Adds bytes to a partial, after the `entry.have` that are there. On an error the partial is as it was.
    fn append(&mut self, id: &BlobId, entry: &Entry, bytes: &[u8]) -> Result<(), BlobError>;

    /// Reads exactly so many bytes of what is there.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when they are not there.
    fn read(&self, id: &BlobId, entry: &Entry, offset: u64, into: &mut [u8]) -> Result<(), BlobError>;

    /// Makes a complete partial whole: first its bytes, then that it is whole, durably.
    fn commit(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError>;

    /// No more bytes are coming for now.
    fn rest(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError>;

    /// Notes when a blob was used, as well as it can: it may be lost.
    fn touch(&mut self, id: &BlobId, entry: &Entry);

    /// Notes why it is kept; `entry` is as it was before.
    fn set_keep(&mut self, id: &BlobId, entry: &Entry, keep: Keep) -> Result<(), BlobError>;

    /// Removes it. After a crash it may be there again, with all its bytes.
    fn remove(&mut self, id: &BlobId, entry: &Entry) -> Result<(), BlobError>;
}

/// A blob store over a medium.
pub struct Blobs<M> {
    medium: M,
    budget: u64,
    entries: BTreeMap<BlobId, Entry>,
    /// The running hash of each partial that is being written.
    open: BTreeMap<BlobId, Sha256>,
    /// What may be dropped, least recently used first.
    spare: BTreeSet<(Millis, BlobId)>,
    usage: Usage,
}

impl<M: Medium> Blobs<M> {
    /// Opens what a medium holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(mut medium: M, budget: u64) -> Result<Self, BlobError> {
        let entries: BTreeMap<BlobId, Entry> = medium.found()?.into_iter().collect();
        let mut blobs = Self {
            medium,
            budget,
            entries: BTreeMap::new(),
            open: BTreeMap::new(),
            spare: BTreeSet::new(),
            usage: Usage::default(),
        };
        for (id, entry) in entries {
            blobs.set(id, Some(entry));
        }
        blobs.make_room(0)?;
        Ok(blobs)
    }

    /// What holds the bytes.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// Ends the store and gives back what holds the bytes.
    pub fn into_medium(self) -> M {
        self.medium
    }

    /// The one place where what is known of a blob changes, so that sums and order follow.
    fn set(&mut self, id: BlobId, entry: Option<Entry>) {
        let before = match entry {
            Some(entry) => self.entries.insert(id, entry),
            None => self.entries.remove(&id),
        };
        if let Some(before) = before {
            *self.sum(&before) -= before.have;
            self.spare.remove(&(before.used, id));
        }
        if let Some(entry) = entry {
            *self.sum(&entry) += entry.have;
            // Whatever is left of an own blob's transfer is not yet what the person owns.
            if (entry.keep == Keep::Cached || !entry.whole) && !self.open.contains_key(&id) {
                self.spare.insert((entry.used, id));
            }
        }
    }

    fn sum(&mut self, entry: &Entry) -> &mut u64 {
        match entry {
            Entry { whole: false, .. } => &mut self.usage.partial,
            Entry { keep: Keep::Own, .. } => &mut self.usage.own,
            _ => &mut self.usage.cached,
        }
    }

    fn open_partial(&self, id: &BlobId) -> Result<Entry, BlobError> {
        match self.entries.get(id) {
            Some(entry) if self.open.contains_key(id) => Ok(*entry),
            _ => Err(BlobError::OutOfTurn("the blob was not begun")),
        }
    }

    /// Drops the least recently used of what may be dropped. False when there is nothing.
    fn drop_one(&mut self) -> Result<bool, BlobError> {
        let Some((_, id)) = self.spare.first().copied() else {
            return Ok(false);
        };
        self.remove(&id)?;
        Ok(true)
    }

    /// Drops others' blobs until so many more bytes keep within the budget, or nothing is left to drop.
    fn make_room(&mut self, bytes: u64) -> Result<(), BlobError> {
        while self.usage.total().saturating_add(bytes) > self.budget && self.drop_one()? {}
        Ok(())
    }

    /// Own blobs, and what open partials will have taken when they are whole, but for this one.
    fn reserved(&self, but: &BlobId) -> u64 {
        let open = self.open.keys().filter(|id| *id != but);
        self.usage.own
            + open
                .filter_map(|id| Some(self.entries.get(id)?.size))
                .sum::<u64>()
    }

    /// The hash of what is there of a partial; `None` when it is not there after all.
    fn hash_of(&self, id: &BlobId, entry: &Entry) -> Result<Option<Sha256>, BlobError> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; REREAD];
        let mut offset = 0;
        while offset < entry.have {
            let left = usize::try_from(entry.have - offset).unwrap_or(REREAD);
            let piece = &mut buffer[..left.min(REREAD)];
            match self.medium.read(id, entry, offset, piece) {
                Ok(()) => hash.update(&*piece),
                Err(BlobError::Damaged(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
            offset += piece.len() as u64;
        }
        Ok(Some(hash))
    }

    fn info_of(id: BlobId, entry: &Entry) -> BlobInfo {
        BlobInfo {
            id,
            size: entry.size,
            have: entry.have,
            whole: entry.whole,
            keep: entry.keep,
            used: entry.used,
        }
    }
}

fn progress(have: u64, hash: &Sha256) -> Progress {
    Progress {
        have,
        digest: hash.clone().finalize().into(),
    }
}

impl<M: Medium> BlobStore for Blobs<M> {
    fn begin(&mut self, id: BlobId, size: u64, keep: Keep, now: Millis) -> Result<Begun, BlobError> {
        if size > MAX_BLOB {
            return Err(BlobError::TooLarge(size));
        }
        if let Some(entry) = self.entries.get(&id).copied() {
            let keep = keep.max(entry.keep);
            if entry.whole {
                if keep != entry.keep {
                    self.set_keep(&id, keep)?;
                }
                self.touch(&id, now);
                return Ok(Begun::Whole);
            }
            let fits = entry.size == size;
            let hash = match self.open.remove(&id) {
                Some(hash) if fits => Some(hash),
                _ if fits => self.hash_of(&id, &entry)?,
                _ => None,
            };
            if let Some(hash) = hash {
                if keep != entry.keep {
                    self.set_keep(&id, keep)?;
                }
                let progress = progress(entry.have, &hash);
                self.open.insert(id, hash);
                self.set(
                    id,
                    Some(Entry {
                        keep,
                        used: now,
                        ..entry
                    }),
                );
                return Ok(Begun::Partial(progress));
            }
            self.remove(&id)?;
        }
        if keep == Keep::Cached && self.reserved(&id).saturating_add(size) > self.budget {
            return Err(BlobError::OverBudget);
        }
        let entry = Entry {
            size,
            have: 0,
            whole: false,
            keep,
            used: now,
        };
        self.medium.create(&id, &entry)?;
        let hash = Sha256::new();
        let progress = progress(0, &hash);
        self.open.insert(id, hash);
        self.set(id, Some(entry));
        Ok(Begun::Partial(progress))
    }

    fn append(&mut self, id: &BlobId, offset: u64, bytes: &[u8], now: Millis) -> Result<(), BlobError> {
        let entry = self.open_partial(id)?;
        let length = bytes.len() as u64;
        if offset != entry.have {
            return Err(BlobError::OutOfTurn("the bytes do not follow the last ones"));
        }
        if length > entry.size - entry.have {
            return Err(BlobError::OutOfTurn("more bytes than were announced"));
        }
        self.make_room(length)?;
        if entry.keep == Keep::Cached && self.usage.total() + length > self.budget {
            return Err(BlobError::OverBudget);
        }
        while let Err(error) = self.medium.append(id, &entry, bytes) {
            // Others' blobs give way to own ones on a full disk too.
            let retry = error == BlobError::DiskFull && entry.keep == Keep::Own;
            if !retry || !self.drop_one()? {
                return Err(error);
            }
        }
        if let Some(hash) = self.open.get_mut(id) {
            hash.update(bytes);
        }
        let have = entry.have + length;
        self.set(
            *id,
            Some(Entry {
                have,
                used: now,
                ..entry
            }),
        );
        Ok(())
    }

    fn progress(&self, id: &BlobId) -> Option<Progress> {
        let hash = self.open.get(id)?;
        Some(progress(self.entries.get(id)?.have, hash))
    }

    fn finish(&mut self, id: &BlobId, now: Millis) -> Result<Finished, BlobError> {
        let entry = self.open_partial(id)?;
        if entry.have != entry.size {
            return Err(BlobError::OutOfTurn("bytes are missing"));
        }
        if self.progress(id).is_none_or(|progress| progress.digest != id.0) {
            self.remove(id)?;
            return Ok(Finished::Wrong);
        }
        let entry = Entry { used: now, ..entry };
        self.medium.commit(id, &entry)?;
        self.open.remove(id);
        self.set(*id, Some(Entry { whole: true, ..entry }));
        Ok(Finished::Verified)
    }

    fn pause(&mut self, id: &BlobId) -> Result<(), BlobError> {
        if let Ok(entry) = self.open_partial(id) {
            self.open.remove(id);
            self.set(*id, Some(entry));
            self.medium.rest(id, &entry)?;
        }
        Ok(())
    }

    fn remove(&mut self, id: &BlobId) -> Result<bool, BlobError> {
        let Some(entry) = self.entries.get(id).copied() else {
            return Ok(false);
        };
        self.medium.remove(id, &entry)?;
        self.open.remove(id);
        self.set(*id, None);
        Ok(true)
    }

    fn read(&self, id: &BlobId, offset: u64, length: usize) -> Result<Option<Vec<u8>>, BlobError> {
        let Some(entry) = self.entries.get(id).filter(|entry| entry.whole) else {
            return Ok(None);
        };
        let left = usize::try_from(entry.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        if !bytes.is_empty() {
            self.medium.read(id, entry, offset, &mut bytes)?;
        }
        Ok(Some(bytes))
    }

    fn info(&self, id: &BlobId) -> Option<BlobInfo> {
        self.entries.get(id).map(|entry| Self::info_of(*id, entry))
    }

    fn touch(&mut self, id: &BlobId, now: Millis) {
        if let Some(entry) = self.entries.get(id).copied() {
            let entry = Entry { used: now, ..entry };
            self.medium.touch(id, &entry);
            self.set(*id, Some(entry));
        }
    }

    fn set_keep(&mut self, id: &BlobId, keep: Keep) -> Result<bool, BlobError> {
        let Some(entry) = self.entries.get(id).copied() else {
            return Ok(false);
        };
        if entry.keep != keep {
            self.medium.set_keep(id, &entry, keep)?;
            self.set(*id, Some(Entry { keep, ..entry }));
        }
        Ok(true)
    }

    fn list(&self) -> Vec<BlobInfo> {
        let mut list: Vec<_> = self
            .entries
            .iter()
            .map(|(id, entry)| Self::info_of(*id, entry))
            .collect();
        list.sort_by_key(|info| (info.used, info.id));
        list
    }

    fn usage(&self) -> Usage {
        Usage {
            budget: self.budget,
            ..self.usage
        }
    }

    fn set_budget(&mut self, bytes: u64) -> Result<(), BlobError> {
        self.budget = bytes;
        self.make_room(0)?;
        // What is under way gives way as well; its fetcher finds it gone and asks for room anew.
        while self.usage.total() > self.budget {
            let cached = self.open.keys().filter_map(|id| {
                let entry = self.entries.get(id).filter(|entry| entry.keep == Keep::Cached)?;
                Some((entry.used, *id))
            });
            let Some((_, id)) = cached.min() else {
                break;
            };
            self.remove(&id)?;
        }
        Ok(())
    }
}
