//! Reading an export, or any JSON lines of events. Nothing in it is trusted.

use std::collections::BTreeSet;

use nostr::prelude::{Event, PublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tar::{self, BLOCK};
use super::{MAX_LINE, MAX_MEDIA, MAX_REFUSED, MediaSink, TransferError};
use crate::media::BlobId;
use crate::social::References;
use crate::store::{Put, Store};
use crate::time::Millis;

/// Events that are stored in one transaction.
const BATCH: usize = 500;
/// Bytes of events that wait for it.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Entries of an archive: more than a store holds events.
const MAX_ENTRIES: u64 = 1_000_000;

/// Own media that are told from others', at most: more than anybody has.
const MAX_OWN: usize = 100_000;

/// What has become of an import so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Bytes read.
    pub bytes: u64,
    /// Events that are new here.
    pub stored: u64,
    /// Events that were here, or are deleted, superseded or past their time.
    pub known: u64,
    /// Events for which there was no room.
    pub no_room: u64,
    /// Lines that are no events that prove themselves.
    pub refused: u64,
    /// Images and files that are new here.
    pub media: u64,
    /// Images and files that are not what their name says, or too large.
    pub media_refused: u64,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come yet.
    Start,
    /// The whole file is lines.
    Lines,
    Header,
    Entry {
        kind: Entry,
        left: u64,
        padding: usize,
    },
    /// Behind the end of an archive.
    End,
}

#[derive(Debug)]
enum Entry {
    Events,
    Media { hash: [u8; 32], so_far: Sha256 },
    Ignored,
}

/// An import under way.
#[derive(Debug)]
pub struct Import {
    stage: Stage,
    /// The part of a line or of a header that has come.
    partial: Vec<u8>,
    batch: Vec<Event>,
    batch_bytes: usize,
    entries: u64,
    /// Whose media are kept for good, and which ones these are.
    me: Option<PublicKey>,
    own: BTreeSet<[u8; 32]>,
    done: Imported,
}

impl Default for Import {
    fn default() -> Self {
        Self {
            stage: Stage::Start,
            partial: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            entries: 0,
            me: None,
            own: BTreeSet::new(),
            done: Imported::default(),
        }
    }
}

impl Import {
    /// One by this person: what their events in the file are about is theirs.
    pub fn of(me: Option<PublicKey>) -> Self {
        Self {
            me,
            ..Self::default()
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Imported {
        self.done
    }

    /// Takes the next bytes of the file, in pieces of any size.
    ///
    /// # Errors
    /// When it is no export, is hostile, or store or media fail: the import is over then. What was taken in stays.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        store: &mut impl Store,
        media: &mut dyn MediaSink,
        now: Millis,
    ) -> Result<(), TransferError> {
        self.done.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            match &mut self.stage {
                Stage::Start => {
                    self.stage = match bytes[0] {
                        b'{' => Stage::Lines,
                        _ => Stage::Header,
                    };
                }
                Stage::Lines => {
                    self.lines(bytes, store, now)?;
                    break;
                }
                Stage::Header => {
                    let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - self.partial.len()));
                    self.partial.extend_from_slice(part);
                    bytes = rest;
                    if let Ok(block) = <[u8; BLOCK]>::try_from(self.partial.as_slice()) {
                        self.partial.clear();
                        self.header(&block, store, media, now)?;
                    }
                }
                Stage::Entry { left, padding, .. } => {
                    let content = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (part, rest) = bytes.split_at(content);
                    *left -= part.len() as u64;
                    let skipped = if *left == 0 { rest.len().min(*padding) } else { 0 };
                    *padding -= skipped;
                    let ended = *left == 0 && *padding == 0;
                    bytes = &rest[skipped..];
                    self.content(part, store, media, now)?;
                    if ended {
                        self.entry_ended(store, media, now)?;
                    }
                }
                Stage::End => break,
            }
        }
        Ok(())
    }

    /// The file has ended.
    ///
    /// # Errors
    /// When it is not complete, or the store fails.
    pub fn finish(mut self, store: &mut impl Store, now: Millis) -> Result<Imported, TransferError> {
        match self.stage {
            Stage::Start | Stage::End => {}
            Stage::Lines => self.line_ended(store, now)?,
            // Other tools may leave out the zeros at the end.
            Stage::Header if self.partial.is_empty() => {}
            Stage::Header | Stage::Entry { .. } => {
                self.flush(store, now)?;
                return Err(TransferError::Incomplete);
            }
        }
        self.flush(store, now)?;
        Ok(self.done)
    }

    fn header(
        &mut self,
        block: &[u8; BLOCK],
        store: &mut impl Store,
        media: &mut dyn MediaSink,
        now: Millis,
    ) -> Result<(), TransferError> {
        let Some(header) = tar::read(block)? else {
            self.stage = Stage::End;
            return Ok(());
        };
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(TransferError::Hostile);
        }
        let kind = match header.name.strip_prefix("media/") {
            // Other things in an archive, and names that lead elsewhere, mean nothing here.
            _ if !header.plain => Entry::Ignored,
            Some(name) => {
                // Whose it is, the events before it say.
                self.flush(store, now)?;
                self.media(name, header.size, media)?
            }
            None if is_events(&header.name) => Entry::Events,
            None => Entry::Ignored,
        };
        self.stage = Stage::Entry {
            kind,
            left: header.size,
            padding: tar::padding(header.size),
        };
        if header.size == 0 {
            self.stage = Stage::Header;
        }
        Ok(())
    }

    fn media(&mut self, name: &str, size: u64, media: &mut dyn MediaSink) -> Result<Entry, TransferError> {
        let mut hash = [0; 32];
        if hex::decode_to_slice(name, &mut hash).is_err() || size > MAX_MEDIA || size == 0 {
            self.done.media_refused += 1;
            return Ok(Entry::Ignored);
        }
        Ok(if media.begin(&hash, size, self.own.contains(&hash))? {
            Entry::Media {
                hash,
                so_far: Sha256::new(),
            }
        } else {
            Entry::Ignored
        })
    }

    fn content(
        &mut self,
        part: &[u8],
        store: &mut impl Store,
        media: &mut dyn MediaSink,
        now: Millis,
    ) -> Result<(), TransferError> {
        let Stage::Entry { kind, .. } = &mut self.stage else {
            return Ok(());
        };
        match kind {
            Entry::Events => self.lines(part, store, now),
            Entry::Media { so_far, .. } => {
                so_far.update(part);
                media.append(part)
            }
            Entry::Ignored => Ok(()),
        }
    }

    fn entry_ended(
        &mut self,
        store: &mut impl Store,
        media: &mut dyn MediaSink,
        now: Millis,
    ) -> Result<(), TransferError> {
        let Stage::Entry { kind, .. } = std::mem::replace(&mut self.stage, Stage::Header) else {
            return Ok(());
        };
        match kind {
            Entry::Events => self.line_ended(store, now),
            Entry::Media { hash, so_far } => {
                let genuine = so_far.finalize().as_slice() == hash;
                self.done.media_refused += u64::from(!genuine);
                self.done.media += u64::from(media.finish(genuine)?);
                Ok(())
            }
            Entry::Ignored => Ok(()),
        }
    }

    fn lines(&mut self, bytes: &[u8], store: &mut impl Store, now: Millis) -> Result<(), TransferError> {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.partial.len() + piece.len() > MAX_LINE {
                return Err(TransferError::NotAnExport("a line is too long"));
            }
            self.partial.extend_from_slice(piece);
            if pieces.peek().is_some() {
                self.line_ended(store, now)?;
            }
        }
        Ok(())
    }

    fn line_ended(&mut self, store: &mut impl Store, now: Millis) -> Result<(), TransferError> {
        let line = self.partial.trim_ascii();
        if !line.is_empty() {
            match serde_json::from_slice::<Event>(line) {
                Ok(event) => {
                    self.batch_bytes += line.len();
                    self.batch.push(event);
                }
                Err(_) => self.refuse(1)?,
            }
        }
        self.partial.clear();
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush(store, now)?;
        }
        Ok(())
    }

    fn flush(&mut self, store: &mut impl Store, now: Millis) -> Result<(), TransferError> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let mut refused = 0;
        for (event, outcome) in batch.iter().zip(store.put(&batch, now)?) {
            if Some(event.pubkey) == self.me && matches!(outcome, Put::Stored | Put::Duplicate) {
                let hashes = References::of(event).media.into_iter();
                let hashes = hashes.filter_map(|media| media.sha256?.parse::<BlobId>().ok());
                let room = MAX_OWN.saturating_sub(self.own.len());
                self.own.extend(hashes.map(|id| id.0).take(room));
            }
            match outcome {
                Put::Stored => self.done.stored += 1,
                Put::Duplicate | Put::Superseded | Put::Deleted | Put::Expired => self.done.known += 1,
                Put::NoRoom => self.done.no_room += 1,
                Put::Invalid(_) => refused += 1,
            }
        }
        self.refuse(refused)
    }

    fn refuse(&mut self, count: u64) -> Result<(), TransferError> {
        self.done.refused += count;
        if self.done.refused > MAX_REFUSED {
            return Err(TransferError::Hostile);
        }
        Ok(())
    }
}

/// `events.jsonl`, or a part in `events/`.
fn is_events(name: &str) -> bool {
    name == "events.jsonl" || name.starts_with("events/") && name.ends_with(".jsonl")
}
