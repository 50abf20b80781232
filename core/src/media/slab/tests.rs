//! The slab keeps the contract, and survives crashes that lose, reorder and tear what was not flushed.

use std::cell::RefCell;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::{Begun, BlobStore, Blobs, DEFAULT_BUDGET, Finished, conformance};
use super::*;
use crate::time::Millis;

/// A file in memory that remembers what was not flushed.
#[derive(Clone, Default)]
struct TestFile(Rc<RefCell<Content>>);

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    flushed: Vec<u8>,
    /// Writes since the last flush, and cuts (`None`).
    since: Vec<(u64, Option<Vec<u8>>)>,
    /// Bytes that may still be written before the disk is full.
    room: Option<u64>,
}

fn apply(content: &mut Vec<u8>, offset: u64, bytes: Option<&[u8]>) {
    let start = usize::try_from(offset).unwrap();
    match bytes {
        Some(bytes) => {
            content.resize(content.len().max(start + bytes.len()), 0);
            content[start..start + bytes.len()].copy_from_slice(bytes);
        }
        None => content.truncate(start),
    }
}

impl TestFile {
    /// What a disk may hold after the power went: of each write everything, nothing or a part.
    fn crash(&self, rng: &mut StdRng) {
        let mut content = self.0.borrow_mut();
        let mut left = std::mem::take(&mut content.flushed);
        for (offset, bytes) in std::mem::take(&mut content.since) {
            match bytes {
                _ if rng.random_bool(0.3) => {}
                Some(bytes) if rng.random_bool(0.3) => {
                    let part = rng.random_range(0..=bytes.len());
                    apply(&mut left, offset, Some(&bytes[..part]));
                }
                bytes => apply(&mut left, offset, bytes.as_deref()),
            }
        }
        content.now = left.clone();
        content.flushed = left;
    }
}

impl SlabFile for TestFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, BlobError> {
        let content = self.0.borrow();
        let start = usize::try_from(offset).unwrap().min(content.now.len());
        let length = into.len().min(content.now.len() - start);
        into[..length].copy_from_slice(&content.now[start..start + length]);
        Ok(length)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        let mut content = self.0.borrow_mut();
        let growth = (offset + bytes.len() as u64).saturating_sub(content.now.len() as u64);
        if let Some(room) = &mut content.room {
            *room = room.checked_sub(growth).ok_or(BlobError::DiskFull)?;
        }
        apply(&mut content.now, offset, Some(bytes));
        content.since.push((offset, Some(bytes.to_vec())));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlobError> {
        let mut content = self.0.borrow_mut();
        for (offset, bytes) in std::mem::take(&mut content.since) {
            apply(&mut content.flushed, offset, bytes.as_deref());
        }
        Ok(())
    }

    fn size(&self) -> Result<u64, BlobError> {
        Ok(self.0.borrow().now.len() as u64)
    }

    fn truncate(&mut self, size: u64) -> Result<(), BlobError> {
        let mut content = self.0.borrow_mut();
        let freed = (content.now.len() as u64).saturating_sub(size);
        if let Some(room) = &mut content.room {
            *room += freed;
        }
        apply(&mut content.now, size, None);
        content.since.push((size, None));
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Disk {
    data: TestFile,
    logs: [TestFile; 2],
}

impl Disk {
    fn open(&self, budget: u64) -> Blobs<Slab<TestFile>> {
        let slab = Slab::open(self.data.clone(), self.logs.clone()).unwrap();
        Blobs::open(slab, budget).unwrap()
    }
}

#[test]
fn keeps_the_contract() {
    conformance::suite(|_, budget| Disk::default().open(budget));
}

#[test]
fn is_found_again() {
    let disk = Disk::default();
    conformance::durable(|before| {
        drop(before);
        disk.open(DEFAULT_BUDGET)
    });
}

#[test]
fn gives_space_back() {
    let disk = Disk::default();
    let mut blobs = disk.open(DEFAULT_BUDGET);
    let ids: Vec<_> = (0..20)
        .map(|seed| {
            let bytes = conformance::bytes(1_000_000, seed);
            blobs.put(&bytes, Keep::Cached, Millis(seed)).unwrap()
        })
        .collect();
    let full = disk.data.size().unwrap();
    assert!((20_000_000..20_500_000).contains(&full), "{full}");
    for id in &ids[..10] {
        blobs.remove(id).unwrap();
    }
    // Holes are filled before the file grows.
    for seed in 100..108 {
        let bytes = conformance::bytes(1_000_000, seed);
        blobs.put(&bytes, Keep::Cached, Millis(seed)).unwrap();
    }
    assert_eq!(disk.data.size().unwrap(), full);
    blobs.set_budget(0).unwrap();
    let left = disk.data.size().unwrap();
    assert!(left < full / 2, "{left}");
    drop(blobs);
    disk.open(DEFAULT_BUDGET);
    assert_eq!(disk.data.size().unwrap(), 0);
}

#[test]
fn the_log_stays_small() {
    let disk = Disk::default();
    let mut blobs = disk.open(DEFAULT_BUDGET);
    let id = blobs.put(b"often seen", Keep::Cached, Millis(0)).unwrap();
    for time in 1..10_000 {
        blobs.touch(&id, Millis(time));
    }
    for log in &disk.logs {
        let size = log.size().unwrap();
        assert!(size < 70_000, "{size}");
    }
    drop(blobs);
    let blobs = disk.open(DEFAULT_BUDGET);
    assert_eq!(blobs.info(&id).unwrap().used, Millis(9_999));
}

#[test]
fn a_full_disk_refuses_and_harms_nothing() {
    let disk = Disk::default();
    let mut blobs = disk.open(DEFAULT_BUDGET);
    let own = blobs
        .put(&conformance::bytes(500_000, 1), Keep::Own, Millis(1))
        .unwrap();
    let cached = blobs
        .put(&conformance::bytes(500_000, 2), Keep::Cached, Millis(2))
        .unwrap();
    disk.data.0.borrow_mut().room = Some(100_000);
    let foreign = blobs.put(&conformance::bytes(400_000, 3), Keep::Cached, Millis(3));
    assert_eq!(foreign, Err(BlobError::DiskFull));
    assert!(
        blobs.info(&cached).is_some(),
        "foreign blobs do not push each other out of a full disk"
    );
    let more = blobs
        .put(&conformance::bytes(400_000, 4), Keep::Own, Millis(4))
        .expect("others' blobs give way");
    assert_eq!(blobs.info(&cached), None);
    drop(blobs);
    let mut blobs = disk.open(DEFAULT_BUDGET);
    for (id, size, seed) in [(own, 500_000, 1), (more, 400_000, 4)] {
        let bytes = blobs.read_checked(&id, Millis(9));
        assert_eq!(bytes, Ok(Some(conformance::bytes(size, seed))));
    }
}

#[test]
fn a_full_disk_for_the_log_loses_nothing_that_was_stored() {
    let disk = Disk::default();
    let mut blobs = disk.open(DEFAULT_BUDGET);
    let own = blobs
        .put(&conformance::bytes(50_000, 1), Keep::Own, Millis(1))
        .unwrap();
    let gone = blobs
        .put(&conformance::bytes(50_000, 2), Keep::Cached, Millis(2))
        .unwrap();
    for log in &disk.logs {
        log.0.borrow_mut().room = Some(0);
    }
    blobs.remove(&gone).unwrap();
    assert!(
        blobs
            .put(&conformance::bytes(50_000, 3), Keep::Cached, Millis(3))
            .is_err()
    );
    drop(blobs);
    for log in &disk.logs {
        log.0.borrow_mut().room = None;
    }
    let mut blobs = disk.open(DEFAULT_BUDGET);
    for info in blobs.list() {
        if info.whole {
            blobs
                .read_checked(&info.id, Millis(9))
                .expect("what is whole is right");
        }
    }
    assert!(blobs.info(&own).is_some());
}

#[test]
fn crashes_lose_nothing_that_was_stored() {
    for seed in 0..60 {
        println!("seed {seed}");
        crash_run(&mut StdRng::seed_from_u64(seed));
    }
}

fn crash_run(rng: &mut StdRng) {
    let disk = Disk::default();
    // Stored and not removed since: must be there. Stored and removed: may be there.
    let mut stored: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
    for life in 0..6 {
        let mut blobs = disk.open(DEFAULT_BUDGET);
        for info in blobs.list().into_iter().filter(|info| info.whole) {
            let content = blobs
                .read_checked(&info.id, Millis(life))
                .expect("what is whole is right");
            stored.entry(info.id).or_insert_with(|| content.unwrap());
        }
        for id in stored.keys() {
            assert!(blobs.info(id).is_some_and(|info| info.whole), "lost {id}");
        }
        let mut growing: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
        for step in 0..rng.random_range(1..40) {
            let now = Millis(life * 100 + step);
            match rng.random_range(0..10) {
                0..3 => {
                    let content = conformance::bytes(rng.random_range(0..200_000), rng.random_range(0..30));
                    let id = blobs.put(&content, Keep::Own, now).unwrap();
                    stored.insert(id, content);
                    growing.remove(&id);
                }
                3..5 => {
                    let content = conformance::bytes(rng.random_range(1..1_500_000), rng.random());
                    let id = BlobId::of(&content);
                    blobs.begin(id, content.len() as u64, Keep::Cached, now).unwrap();
                    growing.insert(id, content);
                }
                5..8 => {
                    if let Some((id, content)) = growing.pop_first() {
                        grow(&mut blobs, &id, &content, rng.random_range(1..1_200_000), now);
                        if blobs.info(&id).is_some_and(|info| info.whole) {
                            stored.insert(id, content);
                        } else {
                            growing.insert(id, content);
                        }
                    }
                }
                8 => {
                    if let Some(id) = stored.keys().nth(rng.random_range(0..20)).copied() {
                        blobs.remove(&id).unwrap();
                        stored.remove(&id);
                    }
                }
                _ => {
                    if let Some(id) = stored.keys().next() {
                        blobs.touch(id, now);
                    }
                }
            }
        }
        drop(blobs);
        for file in disk.logs.iter().chain([&disk.data]) {
            file.crash(rng);
        }
    }
}

fn grow(blobs: &mut Blobs<Slab<TestFile>>, id: &BlobId, content: &[u8], most: usize, now: Millis) {
    let Ok(Begun::Partial(progress)) = blobs.begin(*id, content.len() as u64, Keep::Cached, now) else {
        return;
    };
    let have = usize::try_from(progress.have).unwrap();
    assert_eq!(
        progress.digest,
        BlobId::of(&content[..have]).0,
        "a partial's bytes are its own"
    );
    let end = (have + most).min(content.len());
    blobs.append(id, progress.have, &content[have..end], now).unwrap();
    if end == content.len() {
        assert_eq!(blobs.finish(id, now), Ok(Finished::Verified));
    }
}
