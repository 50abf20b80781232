//! A file that somebody calls an export: JSON lines or a tar archive, honest in part.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use nostr::prelude::{Event, EventId};
use sazanami_core::store::transfer::{Export, Format, Import, Imported, MediaSink, NoMedia, TransferError};
use sazanami_core::store::{EventPool, MemoryStore, Store};
use sazanami_fuzz::{START, Written, event_pool, is_of_pool};
use sha2::{Digest, Sha256};

/// Entries of an archive, and lines of one entry; each event costs a signature.
const MOST: usize = 12;
const BLOCK: usize = 512;

#[derive(arbitrary::Arbitrary, Debug)]
struct Script {
    file: File,
    /// Bytes that are changed afterwards, cut off, or added.
    edits: Vec<(u16, u8)>,
    cut: Option<u16>,
    more: Vec<u8>,
    /// The sizes of the pieces in which it is read.
    pieces: Vec<u16>,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum File {
    Lines(Vec<Line>),
    Archive(Vec<Entry>),
    Raw(Vec<u8>),
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Line {
    Pool(u8),
    Written(Box<Written>),
    Raw(Vec<u8>),
    Empty,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Entry {
    Events(Vec<Line>),
    Media {
        bytes: Vec<u8>,
        /// The name is another one's hash.
        lies: bool,
    },
    Other {
        name: String,
        bytes: Vec<u8>,
        kind: u8,
    },
    /// Says that it has another size.
    Resized(String, u64, Vec<u8>),
    Raw(Vec<u8>),
}

fn lines(lines: &[Line]) -> Vec<u8> {
    let pool = event_pool();
    let mut bytes = Vec::new();
    for line in lines.iter().take(MOST) {
        match line {
            Line::Pool(n) => bytes.extend(pool[usize::from(*n) % pool.len()].as_json().into_bytes()),
            Line::Written(written) => bytes.extend(written.event().as_json().into_bytes()),
            Line::Raw(raw) => bytes.extend(raw),
            Line::Empty => {}
        }
        bytes.push(b'\n');
    }
    bytes
}

fn header(name: &str, size: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(124, format!("{:011o}\0", size % (1 << 33)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn entry(name: &str, size: u64, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let padding = bytes.len().wrapping_neg() % BLOCK;
    [&header(name, size, kind), bytes, &vec![0; padding]].concat()
}

impl Entry {
    fn bytes(&self, place: usize) -> Vec<u8> {
        let plain = |name: &str, bytes: &[u8]| entry(name, bytes.len() as u64, b'0', bytes);
        match self {
            Self::Events(written) => plain(&format!("events/{place:06}.jsonl"), &lines(written)),
            Self::Media { bytes, lies } => {
                let hash = Sha256::digest(if *lies { b"another".as_slice() } else { bytes });
                plain(&format!("media/{hash:x}"), bytes)
            }
            Self::Other { name, bytes, kind } => entry(name, bytes.len() as u64, *kind, bytes),
            Self::Resized(name, size, bytes) => entry(name, *size, b'0', bytes),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Lines(written) => lines(written),
            Self::Archive(entries) => {
                let entries = entries.iter().take(MOST).enumerate();
                let entries = entries.flat_map(|(place, entry)| entry.bytes(place));
                entries.chain([0; 2 * BLOCK]).collect()
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// Holds an import to what it promises, and keeps what it is given.
#[derive(Clone, Debug, Default, PartialEq)]
struct Media {
    kept: BTreeMap<[u8; 32], Vec<u8>>,
    under_way: Option<([u8; 32], u64, Vec<u8>)>,
}

impl MediaSink for Media {
    fn begin(&mut self, hash: &[u8; 32], size: u64, _own: bool) -> Result<bool, TransferError> {
        self.under_way = None;
        let wanted = !self.kept.contains_key(hash);
        if wanted {
            self.under_way = Some((*hash, size, Vec::new()));
        }
        Ok(wanted)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let (_, size, so_far) = self.under_way.as_mut().expect("bytes follow a beginning");
        so_far.extend_from_slice(bytes);
        assert!(so_far.len() as u64 <= *size, "more bytes than were announced");
        Ok(())
    }

    fn finish(&mut self, genuine: bool) -> Result<bool, TransferError> {
        let (hash, size, bytes) = self.under_way.take().expect("an end follows a beginning");
        assert_eq!(bytes.len() as u64, size, "finished before its end");
        assert_eq!(
            Sha256::digest(&bytes).as_slice() == hash,
            genuine,
            "the hash is right"
        );
        if genuine {
            self.kept.insert(hash, bytes);
        }
        Ok(genuine)
    }
}

/// Reads the file in pieces of these sizes, over and over.
fn import(
    file: &[u8],
    pieces: &[usize],
    store: &mut MemoryStore,
    media: &mut Media,
) -> (Imported, Option<TransferError>) {
    let mut import = Import::default();
    let mut sizes = pieces.iter().cycle();
    let mut rest = file;
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| *size).clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        if let Err(error) = import.push(piece, store, media, START) {
            return (import.progress(), Some(error));
        }
    }
    let done = import.progress();
    match import.finish(store, START) {
        Ok(done) => (done, None),
        Err(error) => (done, Some(error)),
    }
}

fn ids(store: &MemoryStore) -> Vec<EventId> {
    let events = store
        .events_after(None, usize::MAX)
        .expect("memory does not fail");
    events.iter().map(|event| event.id).collect()
}

fuzz_target!(|script: Script| {
    let mut file = script.file.bytes();
    for (at, byte) in script.edits.iter().take(8) {
        let at = usize::from(*at) % file.len().max(1);
        if let Some(changed) = file.get_mut(at) {
            *changed ^= byte;
        }
    }
    if let Some(cut) = script.cut {
        file.truncate(usize::from(cut));
    }
    file.extend(&script.more);

    let verified = EventPool::default();
    let (mut store, mut media) = (MemoryStore::with_pool(&verified), Media::default());
    let (done, error) = import(&file, &[], &mut store, &mut media);
    let events: Vec<Event> = store
        .events_after(None, usize::MAX)
        .expect("memory does not fail");
    for event in &events {
        assert!(is_of_pool(event) || event.verify().is_ok(), "a forgery");
    }

    // In whatever pieces it comes.
    let pieces: Vec<usize> = script.pieces.iter().map(|size| usize::from(*size)).collect();
    let (mut other, mut other_media) = (MemoryStore::with_pool(&verified), Media::default());
    let (piecewise, failed) = import(&file, &pieces, &mut other, &mut other_media);
    assert_eq!(error, failed);
    let apart_from_bytes = |done: Imported| Imported { bytes: 0, ..done };
    assert_eq!(apart_from_bytes(done), apart_from_bytes(piecewise));
    assert_eq!(ids(&store), ids(&other));
    assert_eq!(media, other_media);

    // Again, it changes nothing.
    let (again, _) = import(&file, &pieces, &mut other, &mut other_media);
    assert_eq!((again.stored, again.media), (0, 0), "twice is once");
    assert_eq!(ids(&store), ids(&other));

    // What came in goes out, and in elsewhere; what is deleted or superseded need not.
    let mut export = Export::new(Format::Lines);
    let mut written = Vec::new();
    while let Some(chunk) = export.next_chunk(&store, &NoMedia).expect("memory does not fail") {
        written.extend(chunk);
    }
    let mut elsewhere = MemoryStore::with_pool(&verified);
    let (copied, failed) = import(&written, &pieces, &mut elsewhere, &mut Media::default());
    assert_eq!((failed, copied.refused), (None, 0));
    assert_eq!(ids(&store), ids(&elsewhere), "an export is complete");
});
