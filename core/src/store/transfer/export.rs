//! Writing everything.

use serde::{Deserialize, Serialize};

use super::tar::{self, BLOCK};
use super::{MAX_MEDIA, MediaSource, TransferError};
use crate::store::{Cursor, Store};

/// Events that are read at once: 4 MiB at most.
const EVENTS: usize = 64;
/// Bytes of an image or file in one piece.
const PIECE: u64 = 64 * 1024;
const README: &str = "Sazanami: posts and media.\n\n\
events/*.jsonl  signed Nostr events, one JSON object per line (NIP-01)\n\
media/*         images and files, named by their SHA-256\n\n\
The secret key is not in here.\n";

/// What an export is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Events alone, as JSON lines.
    Lines,
    /// Events and media, as a tar archive.
    Archive,
}

/// How far an export has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Events written.
    pub events: u64,
    /// Images and files written.
    pub media: u64,
    /// Bytes written.
    pub bytes: u64,
}

#[derive(Debug)]
enum Stage {
    Readme,
    Events { after: Option<Cursor>, part: u32 },
    NextMedia(Option<[u8; 32]>),
    Media { hash: [u8; 32], size: u64, at: u64 },
    End,
    Done,
}

/// An export under way: events that are stored meanwhile may be in it or not, every other one is.
#[derive(Debug)]
pub struct Export {
    format: Format,
    stage: Stage,
    done: Exported,
}

impl Export {
    /// Of everything.
    pub fn new(format: Format) -> Self {
        let stage = match format {
            Format::Lines => Stage::Events { after: None, part: 1 },
            Format::Archive => Stage::Readme,
        };
        Self {
            format,
            stage,
            done: Exported::default(),
        }
    }

    /// How far it has come; how much there is in all, the store's report says.
    pub fn progress(&self) -> Exported {
        self.done
    }

    /// The next bytes of the file, a few MiB at most; `None` at its end.
    ///
    /// # Errors
    /// When store or media cannot be read.
    pub fn next_chunk(
        &mut self,
        store: &impl Store,
        media: &dyn MediaSource,
    ) -> Result<Option<Vec<u8>>, TransferError> {
        loop {
            let (bytes, next) = match self.stage {
                Stage::Readme => (
                    entry("README.txt", README.as_bytes()),
                    Stage::Events { after: None, part: 1 },
                ),
                Stage::Events { after, part } => self.events(store, after, part)?,
                Stage::NextMedia(after) => match media.next(after)? {
                    Some((hash, size)) if size > MAX_MEDIA => (Vec::new(), Stage::NextMedia(Some(hash))),
                    Some((hash, size)) => {
                        let name = format!("media/{}", hex::encode(hash));
                        (
                            tar::header(&name, size).to_vec(),
                            Stage::Media { hash, size, at: 0 },
                        )
                    }
                    None => (Vec::new(), Stage::End),
                },
                Stage::Media { hash, size, at } => self.piece(media, hash, size, at)?,
                Stage::End => (vec![0; 2 * BLOCK], Stage::Done),
                Stage::Done => return Ok(None),
            };
            self.stage = next;
            if !bytes.is_empty() {
                self.done.bytes += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
    }

    fn events(
        &mut self,
        store: &impl Store,
        after: Option<Cursor>,
        part: u32,
    ) -> Result<(Vec<u8>, Stage), TransferError> {
        let events = store.events_after(after, EVENTS)?;
        let mut lines = Vec::new();
        for event in &events {
            // Plain data into memory: it cannot fail.
            serde_json::to_writer(&mut lines, event)
                .map_err(|_| TransferError::NotAnExport("an event has no JSON"))?;
            lines.push(b'\n');
        }
        self.done.events += events.len() as u64;
        let next = match events.last() {
            Some(last) => Stage::Events {
                after: Some(Cursor {
                    created_at: last.created_at.as_secs(),
                    id: last.id,
                }),
                part: part + 1,
            },
            None if self.format == Format::Lines => Stage::Done,
            None => Stage::NextMedia(None),
        };
        let bytes = match self.format {
            Format::Archive if !lines.is_empty() => entry(&format!("events/{part:06}.jsonl"), &lines),
            _ => lines,
        };
        Ok((bytes, next))
    }

    fn piece(
        &mut self,
        media: &dyn MediaSource,
        hash: [u8; 32],
        size: u64,
        at: u64,
    ) -> Result<(Vec<u8>, Stage), TransferError> {
        let length = (size - at).min(PIECE);
        let mut bytes = vec![0; length as usize];
        let mut read = 0;
        while read < bytes.len() {
            // What was dropped meanwhile stays zero, so that the archive holds together: its hash tells.
            match media.read(&hash, at + read as u64, &mut bytes[read..])? {
                0 => break,
                more => read += more,
            }
        }
        let at = at + length;
        if at < size {
            return Ok((bytes, Stage::Media { hash, size, at }));
        }
        bytes.resize(bytes.len() + tar::padding(size), 0);
        self.done.media += 1;
        Ok((bytes, Stage::NextMedia(Some(hash))))
    }
}

fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let size = content.len() as u64;
    let mut bytes = tar::header(name, size).to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len() + tar::padding(size), 0);
    bytes
}
