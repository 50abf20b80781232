//! Everything as one file and back: whole, twice without effect, and no way in for hostile files.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use nostr::prelude::{Event, EventId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sazanami_core::store::conformance::fixtures::{NOW, deletion, follows, note, person, profile};
use sazanami_core::store::transfer::{
    Export, Format, Import, Imported, MAX_LINE, MediaSink, MediaSource, NoMedia, TransferError,
};
use sazanami_core::store::{SqliteStore, Store};
use sha2::{Digest, Sha256};

#[derive(Default)]
struct Media {
    whole: BTreeMap<[u8; 32], Vec<u8>>,
    open: Option<([u8; 32], Vec<u8>)>,
    /// The largest piece that was asked for.
    largest: RefCell<usize>,
}

impl Media {
    fn with(files: &[Vec<u8>]) -> Self {
        let whole = files
            .iter()
            .map(|file| (Sha256::digest(file).into(), file.clone()));
        Self {
            whole: whole.collect(),
            ..Self::default()
        }
    }
}

impl MediaSource for Media {
    fn next(&self, after: Option<[u8; 32]>) -> Result<Option<([u8; 32], u64)>, TransferError> {
        let next = self
            .whole
            .iter()
            .find(|(hash, _)| after.is_none_or(|after| **hash > after));
        Ok(next.map(|(hash, bytes)| (*hash, bytes.len() as u64)))
    }

    fn read(&self, hash: &[u8; 32], offset: u64, buffer: &mut [u8]) -> Result<usize, TransferError> {
        let mut largest = self.largest.borrow_mut();
        *largest = buffer.len().max(*largest);
        let bytes = &self.whole[hash][offset as usize..];
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }
}

impl MediaSink for Media {
    fn begin(&mut self, hash: &[u8; 32], _size: u64, _own: bool) -> Result<bool, TransferError> {
        self.open = Some((*hash, Vec::new()));
        Ok(!self.whole.contains_key(hash))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.open.as_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self, genuine: bool) -> Result<bool, TransferError> {
        let (hash, bytes) = self.open.take().unwrap();
        if genuine {
            self.whole.insert(hash, bytes);
        }
        Ok(genuine)
    }
}

fn filled() -> SqliteStore {
    let mut store = SqliteStore::in_memory().unwrap();
    let (me, other) = (person(1), person(2));
    store.set_me(Some(me.public_key())).unwrap();
    let mut events: Vec<Event> = (0..300)
        // Many of one second: what stands at the same time is not skipped.
        .map(|n| {
            note(
                if n % 2 == 0 { &me } else { &other },
                &format!("{n} \"波\"\n"),
                n / 40,
            )
        })
        .collect();
    events.extend([
        profile(&me, "Kai", 50),
        follows(&me, &[&other], 51),
        deletion(&other, &[&events[1]], 52),
    ]);
    store.put(&events, NOW).unwrap();
    store
}

fn files() -> Vec<Vec<u8>> {
    [1, 511, 512, 513, 200_000]
        .map(|size| vec![size as u8; size])
        .to_vec()
}

fn export(format: Format, store: &SqliteStore, media: &dyn MediaSource) -> Vec<u8> {
    let mut export = Export::new(format);
    let mut file = Vec::new();
    while let Some(chunk) = export.next_chunk(store, media).unwrap() {
        assert!(chunk.len() < 8 * 1024 * 1024);
        file.extend(chunk);
    }
    assert_eq!(export.progress().bytes, file.len() as u64);
    file
}

fn import(
    file: &[u8],
    piece: impl FnMut() -> usize,
    store: &mut SqliteStore,
    media: &mut dyn MediaSink,
) -> Result<Imported, TransferError> {
    let mut piece = piece;
    let (mut import, mut rest) = (Import::default(), file);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(piece().clamp(1, rest.len()));
        import.push(part, store, media, NOW)?;
        rest = after;
    }
    import.finish(store, NOW)
}

fn ids(store: &SqliteStore) -> BTreeSet<EventId> {
    let all = store.events_after(None, usize::MAX).unwrap();
    all.iter().map(|event| event.id).collect()
}

#[test]
fn everything_comes_back_in_pieces_of_any_size() {
    let (from, media) = (filled(), Media::with(&files()));
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for format in [Format::Lines, Format::Archive] {
        let file = export(format, &from, &media);
        for largest in [7, 600, 100_000] {
            let mut store = SqliteStore::in_memory().unwrap();
            let mut sink = Media::default();
            let imported = import(&file, || random.random_range(1..largest), &mut store, &mut sink).unwrap();
            assert_eq!(ids(&store), ids(&from), "{format:?}");
            assert_eq!(imported.stored + imported.known, ids(&from).len() as u64);
            assert_eq!((imported.refused, imported.no_room), (0, 0));
            if format == Format::Archive {
                assert_eq!(sink.whole, media.whole);
            }
            let again = import(&file, || random.random_range(1..largest), &mut store, &mut sink).unwrap();
            assert_eq!((again.stored, again.media), (0, 0), "twice changes nothing");
            assert_eq!(ids(&store), ids(&from));
        }
    }
    assert!(
        *media.largest.borrow() <= 64 * 1024,
        "media are read piece by piece"
    );
}

#[test]
fn the_file_is_what_other_tools_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.tar");
    let (store, media) = (filled(), Media::with(&files()));
    std::fs::write(&path, export(Format::Archive, &store, &media)).unwrap();
    let status = std::process::Command::new("tar")
        .args(["-xf", "export.tar"])
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(status.success());
    for file in files() {
        let name = hex::encode(Sha256::digest(&file));
        assert_eq!(
            std::fs::read(folder.path().join("media").join(name)).unwrap(),
            file
        );
    }
    let mut lines = String::new();
    for part in folder.path().join("events").read_dir().unwrap() {
        lines += &std::fs::read_to_string(part.unwrap().path()).unwrap();
    }
    let events: BTreeSet<EventId> = lines
        .lines()
        .map(|line| serde_json::from_str::<Event>(line).unwrap().id)
        .collect();
    assert_eq!(events, ids(&store));
}

#[test]
fn somebody_elses_file_takes_over_nothing() {
    let file = export(Format::Archive, &filled(), &NoMedia);
    let text = String::from_utf8_lossy(&file);
    assert!(!text.contains("nsec1") && !text.contains(&person(1).secret_key().to_secret_hex()));
    let mut store = SqliteStore::in_memory().unwrap();
    let me = person(9);
    store.set_me(Some(me.public_key())).unwrap();
    store.put(&[profile(&me, "Mine", 1)], NOW).unwrap();
    import(&file, || 4096, &mut store, &mut NoMedia).unwrap();
    assert_eq!(store.ring(&me.public_key()), Ok(sazanami_core::social::Ring::Me));
    assert_eq!(
        store.profile(&me.public_key()).unwrap().unwrap().name.as_deref(),
        Some("Mine")
    );
    assert_eq!(store.follows(&me.public_key()), Ok(vec![]));
}

#[test]
fn hostile_files_are_refused_in_bounded_memory() {
    let fails = |file: &[u8]| {
        let mut store = SqliteStore::in_memory().unwrap();
        let result = import(file, || 65_536, &mut store, &mut NoMedia);
        assert_eq!(ids(&store).len(), 0);
        result
    };
    let mut line = b"{".to_vec();
    line.resize(MAX_LINE * 2, b' ');
    assert!(matches!(fails(&line), Err(TransferError::NotAnExport(_))));
    assert!(matches!(fails(&[0xff; 2000]), Err(TransferError::NotAnExport(_))));
    assert!(matches!(fails(b"PK\x03\x04"), Err(TransferError::Incomplete)));
    assert_eq!(fails(&b"{}\n".repeat(10_001)), Err(TransferError::Hostile));
    assert_eq!(fails(b"{\"\xff\xfe\":1}\n").unwrap().refused, 1);
    // Forged: a right JSON with a wrong signature.
    let mut forged = serde_json::to_value(note(&person(1), "mine", 1)).unwrap();
    forged["content"] = "not mine".into();
    assert_eq!(fails(format!("{forged}").as_bytes()).unwrap().refused, 1);
    assert_eq!(fails(b"").unwrap(), Imported::default());
}

/// A header as tar writes it.
fn header(name: &str, size: u64, kind: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = kind;
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[test]
fn entries_that_lead_elsewhere_mean_nothing() {
    let mut file = Vec::new();
    for (name, kind) in [
        ("../../etc/passwd", b'0'),
        ("media/../../x", b'0'),
        ("media/abc", b'0'),
        ("events/1.jsonl", b'2'),
    ] {
        file.extend(header(name, 5, kind));
        file.extend(b"evil\n");
        file.resize(file.len().next_multiple_of(512), 0);
    }
    // Not what its name says.
    file.extend(header(&format!("media/{}", "0".repeat(64)), 5, b'0'));
    file.extend(b"other");
    file.resize(file.len().next_multiple_of(512), 0);
    let (mut store, mut sink) = (SqliteStore::in_memory().unwrap(), Media::default());
    let imported = import(&file, || 100, &mut store, &mut sink).unwrap();
    assert!(sink.whole.is_empty());
    assert_eq!((imported.media, imported.media_refused), (0, 3));
    assert_eq!((imported.stored, imported.refused), (0, 0));
    // More than is allowed, announced: nothing is reserved for it, and its end never comes.
    let huge = header(&format!("media/{}", "0".repeat(64)), 0o77_777_777_777, b'0');
    let ended = import(&huge, || 512, &mut store, &mut sink);
    assert_eq!(ended, Err(TransferError::Incomplete));
}

#[test]
fn a_file_cut_anywhere_is_no_panic_and_says_so() {
    let media = Media::with(&files());
    let file = export(Format::Archive, &filled(), &media);
    for cut in (0..file.len() - 1024).step_by(9_973) {
        let (mut store, mut sink) = (SqliteStore::in_memory().unwrap(), Media::default());
        match import(&file[..cut], || 65_536, &mut store, &mut sink) {
            Err(error) => assert_eq!(error, TransferError::Incomplete, "cut at {cut}"),
            Ok(_) => assert_eq!(cut % 512, 0, "cut at {cut} between two entries"),
        }
    }
}
