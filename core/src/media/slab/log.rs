//! What lies where, as a log: appended to with every change, and written afresh into the other of two files when most
//! of it is out of date. A new log counts once its header is there, which is written after its records are on disk;
//! until then the old one does. A torn record at the end is the end.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{BlobError, BlobId, Entry, Extent, Keep, Placed, SlabFile};
use crate::time::Millis;

const MAGIC: &[u8; 16] = b"sazanami media 1";
const HEADER: u64 = 32;
/// Bytes of a checksum: it finds torn writes, not forgers.
const CHECK: usize = 8;
/// A log is written afresh past this many bytes and [`MAX_GROWTH`] times what is needed.
const MIN_REWRITE: u64 = 64 * 1024;
const MAX_GROWTH: u64 = 3;

const OWN: u8 = 1;
const WHOLE: u8 = 2;

/// What changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record {
    /// A blob's entry and place are as given.
    Placed,
    /// It was used.
    Touched(Millis),
    /// It is gone.
    Removed,
}

type Places = BTreeMap<BlobId, Placed>;

pub(super) struct Log<F> {
    files: [F; 2],
    current: usize,
    generation: u64,
    end: u64,
    /// Bytes that were needed when it was last written afresh.
    fresh: u64,
    dirty: bool,
    /// A write failed: the file no longer says what it should.
    broken: bool,
}

impl<F: SlabFile> Log<F> {
    pub(super) fn open(files: [F; 2]) -> Result<(Self, Places), BlobError> {
        let mut best: Option<(usize, u64)> = None;
        let mut empty = true;
        for (number, file) in files.iter().enumerate() {
            let mut header = [0; HEADER as usize];
            let read = file.read_at(0, &mut header)?;
            empty &= read == 0 || header[..read].iter().all(|byte| *byte == 0);
            if let Some(generation) = read_header(&header)
                && best.is_none_or(|(_, other)| generation > other)
            {
                best = Some((number, generation));
            }
        }
        // Of a first log that was never finished, the records are there and the header is not.
        let (current, generation) = match best {
            Some(best) => best,
            None if empty => (1, 0),
            None => {
                return Err(BlobError::Storage {
                    context: "reading the index of media",
                    reason: "both of its files are damaged".to_owned(),
                });
            }
        };
        let mut log = Self {
            files,
            current,
            generation,
            end: HEADER,
            fresh: 0,
            dirty: false,
            broken: generation == 0,
        };
        let mut places = Places::new();
        if generation > 0 {
            log.replay(&mut places)?;
        }
        Ok((log, places))
    }

    pub(super) fn into_files(self) -> [F; 2] {
        self.files
    }

    fn replay(&mut self, places: &mut Places) -> Result<(), BlobError> {
        let file = &self.files[self.current];
        let length = usize::try_from(file.size()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = file.read_at(0, &mut bytes)?;
        let mut rest = &bytes[HEADER as usize..read.max(HEADER as usize)];
        while let Some((payload, after)) = next_record(rest, self.generation) {
            if apply(payload, places).is_none() {
                break;
            }
            self.end += (rest.len() - after.len()) as u64;
            rest = after;
        }
        // Whatever is torn must not follow what is written next.
        if self.end < length as u64 {
            self.files[self.current].truncate(self.end)?;
        }
        self.fresh = self.end;
        Ok(())
    }

    /// Writes what changed; `places` is how everything is now.
    pub(super) fn write(&mut self, id: &BlobId, what: Record, places: &Places) -> Result<(), BlobError> {
        if self.broken || self.end > MIN_REWRITE.max(self.fresh * MAX_GROWTH) {
            return self.rewrite(places);
        }
        let payload = match what {
            Record::Placed => match places.get(id) {
                Some(blob) => placed(id, blob),
                None => return Ok(()),
            },
            Record::Touched(used) => {
                let mut payload = tagged(b'T', id);
                payload.extend(used.0.to_le_bytes());
                payload
            }
            Record::Removed => tagged(b'R', id),
        };
        let record = framed(&payload, self.generation);
        if let Err(error) = self.files[self.current].write_at(self.end, &record) {
            self.broken = true;
            return Err(error);
        }
        self.end += record.len() as u64;
        self.dirty = true;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), BlobError> {
        if self.dirty {
            self.files[self.current].flush()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Repairs what has to be.
    pub(super) fn tidy(&mut self, places: &Places) -> Result<(), BlobError> {
        if self.broken { self.rewrite(places) } else { Ok(()) }
    }

    fn rewrite(&mut self, places: &Places) -> Result<(), BlobError> {
        self.broken = true;
        let generation = self.generation + 1;
        let mut records = Vec::new();
        for (id, blob) in places {
            records.extend(framed(&placed(id, blob), generation));
        }
        let other = 1 - self.current;
        let file = &mut self.files[other];
        file.truncate(0)?;
        file.write_at(HEADER, &records)?;
        file.flush()?;
        file.write_at(0, &header(generation))?;
        file.flush()?;
        self.current = other;
        self.generation = generation;
        self.end = HEADER + records.len() as u64;
        self.fresh = self.end;
        self.dirty = false;
        self.broken = false;
        Ok(())
    }
}

fn check(generation: u64, payload: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(generation.to_le_bytes());
    hash.update(payload);
    let mut sum = [0; CHECK];
    sum.copy_from_slice(&hash.finalize()[..CHECK]);
    sum
}

fn header(generation: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(generation.to_le_bytes());
    header.extend(check(generation, MAGIC));
    header
}

fn read_header(bytes: &[u8; HEADER as usize]) -> Option<u64> {
    let (magic, rest) = bytes.split_first_chunk::<16>()?;
    let (generation, sum) = rest.split_first_chunk::<8>()?;
    let generation = u64::from_le_bytes(*generation);
    (magic == MAGIC && sum == check(generation, MAGIC)).then_some(generation)
}

fn framed(payload: &[u8], generation: u64) -> Vec<u8> {
    // 4,096 blocks at most, of eight bytes each.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut record = length.to_le_bytes().to_vec();
    record.extend_from_slice(payload);
    record.extend(check(generation, payload));
    record
}

/// The next record's payload and what follows it, unless it is torn.
fn next_record(bytes: &[u8], generation: u64) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (payload, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (sum, rest) = rest.split_first_chunk::<CHECK>()?;
    (*sum == check(generation, payload)).then_some((payload, rest))
}

fn tagged(tag: u8, id: &BlobId) -> Vec<u8> {
    let mut payload = vec![tag];
    payload.extend(id.0);
    payload
}

fn placed(id: &BlobId, blob: &Placed) -> Vec<u8> {
    let Entry {
        size,
        have,
        whole,
        keep,
        used,
    } = blob.entry;
    let mut payload = tagged(b'P', id);
    payload.push(if keep == Keep::Own { OWN } else { 0 } | if whole { WHOLE } else { 0 });
    for number in [size, have, used.0] {
        payload.extend(number.to_le_bytes());
    }
    for extent in &blob.extents {
        payload.extend(extent.start.to_le_bytes());
        payload.extend(extent.count.to_le_bytes());
    }
    payload
}

/// Takes a record in; `None` when it is none.
fn apply(payload: &[u8], places: &mut Places) -> Option<()> {
    let (tag, rest) = payload.split_first()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let id = BlobId(*id);
    match tag {
        b'P' => {
            let (flags, rest) = rest.split_first()?;
            let (size, rest) = number(rest)?;
            let (have, rest) = number(rest)?;
            let (used, rest) = number(rest)?;
            let (extents, odd) = rest.as_chunks::<8>();
            let extent = |bytes: &[u8; 8]| {
                let (start, count) = bytes.split_at(4);
                Some(Extent {
                    start: u32::from_le_bytes(start.try_into().ok()?),
                    count: u32::from_le_bytes(count.try_into().ok()?),
                })
            };
            if !odd.is_empty() {
                return None;
            }
            let entry = Entry {
                size,
                have,
                whole: flags & WHOLE != 0,
                keep: if flags & OWN != 0 { Keep::Own } else { Keep::Cached },
                used: Millis(used),
            };
            let extents = extents.iter().map(extent).collect::<Option<_>>()?;
            places.insert(id, Placed { entry, extents });
        }
        b'T' => {
            let (used, _) = number(rest)?;
            if let Some(blob) = places.get_mut(&id) {
                blob.entry.used = Millis(used);
            }
        }
        b'R' => drop(places.remove(&id)),
        _ => return None,
    }
    Some(())
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}
