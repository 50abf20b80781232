//! Everything as one file and back, as the interface pulls and pushes it: piece by piece, so that a slow disk slows
//! the one who asks, and nobody else waits for long.

use super::Node;
use super::api::{Change, Exporting, Importing, Reply, RequestError};
use super::media::Media;
use crate::media::{Begun, BlobError, BlobId, Keep};
use crate::store::Store;
use crate::store::transfer::{Export, Format, Import, MediaSink, MediaSource, TransferError};
use crate::time::Millis;

/// Largest piece of a file that is taken at once, in bytes: some thousand events, verified in a tenth of a second.
pub const MAX_PIECE: usize = 1024 * 1024;

/// What is under way; of each kind one.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    export: Option<(Export, Vec<(BlobId, u64)>)>,
    import: Option<(Import, Option<Incoming>)>,
}

/// The blob that an import is in the middle of.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    id: BlobId,
    have: u64,
    /// There was no room: the rest of it is passed over.
    dropped: bool,
}

impl From<TransferError> for RequestError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Store(error) => error.into(),
            TransferError::Media(reason) => Self::Storage(reason),
            TransferError::Full => Self::Full,
            TransferError::NotAnExport(_) => Self::NotAnExport,
            TransferError::Incomplete => Self::IncompleteFile,
            TransferError::Hostile => Self::HostileFile,
        }
    }
}

impl From<BlobError> for TransferError {
    fn from(error: BlobError) -> Self {
        if error.is_full() {
            Self::Full
        } else {
            Self::Media(error.to_string())
        }
    }
}

impl<S: Store> Node<S> {
    pub(super) fn start_export(&mut self, format: Format) -> Result<Reply, RequestError> {
        let events = self.store.report()?.events.events;
        let mut blobs: Vec<(BlobId, u64)> = match format {
            Format::Lines => Vec::new(),
            Format::Archive => self
                .blobs()
                .list()
                .into_iter()
                .filter(|blob| blob.whole)
                .map(|blob| (blob.id, blob.size))
                .collect(),
        };
        blobs.sort_unstable();
        let media = blobs.len() as u64;
        self.transfers.export = Some((Export::new(format), blobs));
        Ok(Reply::Exporting(Exporting {
            events,
            media,
            ..Exporting::default()
        }))
    }

    pub(super) fn next_export(&mut self) -> Result<Reply, RequestError> {
        let (export, blobs) = self.transfers.export.as_mut().ok_or(RequestError::NoTransfer)?;
        let source = Source {
            blobs,
            media: &self.media,
        };
        let piece = export.next_chunk(&self.store, &source);
        let done = export.progress();
        let bytes = match piece {
            Ok(Some(bytes)) => bytes,
            ended => {
                self.transfers.export = None;
                ended?.unwrap_or_default()
            }
        };
        Ok(Reply::Exporting(Exporting {
            ended: self.transfers.export.is_none(),
            bytes,
            events: done.events,
            media: done.media,
        }))
    }

    pub(super) fn start_import(&mut self) -> Result<Reply, RequestError> {
        self.stop_import()?;
        let me = self.me.as_ref().map(|me| me.public_key());
        self.transfers.import = Some((Import::of(me), None));
        Ok(Reply::Importing(Importing::default()))
    }

    pub(super) fn next_import(&mut self, bytes: &[u8], now: Millis) -> Result<Reply, RequestError> {
        if bytes.len() > MAX_PIECE {
            return Err(RequestError::FileTooLarge);
        }
        let (mut import, incoming) = self.transfers.import.take().ok_or(RequestError::NoTransfer)?;
        let mut sink = Sink {
            incoming,
            media: &mut self.media,
            now,
        };
        let taken = import.push(bytes, &mut self.store, &mut sink, now);
        let incoming = sink.incoming;
        let done = import.progress();
        // Kept for what a broken one left behind, too.
        self.transfers.import = Some((import, incoming));
        self.imported(now)?;
        if let Err(error) = taken {
            self.stop_import()?;
            return Err(error.into());
        }
        Ok(Reply::Importing(Importing { ended: false, done }))
    }

    pub(super) fn finish_import(&mut self, now: Millis) -> Result<Reply, RequestError> {
        let (import, incoming) = self.transfers.import.take().ok_or(RequestError::NoTransfer)?;
        let done = import.finish(&mut self.store, now);
        self.imported(now)?;
        self.forget_incoming(incoming)?;
        self.change(Change::Me);
        Ok(Reply::Importing(Importing {
            ended: true,
            done: done?,
        }))
    }

    /// Ends what is under way. What an import has taken in stays.
    pub(super) fn stop_transfers(&mut self) -> Result<Reply, RequestError> {
        self.transfers.export = None;
        self.stop_import()?;
        Ok(Reply::Done)
    }

    fn stop_import(&mut self) -> Result<(), RequestError> {
        match self.transfers.import.take() {
            Some((_, incoming)) => self.forget_incoming(incoming),
            None => Ok(()),
        }
    }

    fn forget_incoming(&mut self, incoming: Option<Incoming>) -> Result<(), RequestError> {
        if let Some(incoming) = incoming.filter(|incoming| !incoming.dropped) {
            self.media.store.remove(&incoming.id)?;
        }
        Ok(())
    }

    /// Others learn of what came by reconciling: it is history.
    fn imported(&mut self, now: Millis) -> Result<(), RequestError> {
        let changes = self.tell_changes();
        if changes {
            self.know_private_mutes()?;
            self.friends.changed = true;
            self.much_came(now);
        }
        Ok(())
    }
}

struct Source<'a> {
    /// By their names, as they were when the export began.
    blobs: &'a [(BlobId, u64)],
    media: &'a Media,
}

impl MediaSource for Source<'_> {
    fn next(&self, after: Option<[u8; 32]>) -> Result<Option<([u8; 32], u64)>, TransferError> {
        let at = self
            .blobs
            .partition_point(|(id, _)| after.is_some_and(|after| id.0 <= after));
        Ok(self.blobs.get(at).map(|(id, size)| (id.0, *size)))
    }

    fn read(&self, hash: &[u8; 32], offset: u64, buffer: &mut [u8]) -> Result<usize, TransferError> {
        let piece = match self.media.store.read(&BlobId(*hash), offset, buffer.len()) {
            Ok(piece) => piece.unwrap_or_default(),
            // The rest of the file is worth having without it.
            Err(BlobError::Damaged(id)) => {
                tracing::warn!(%id, "a blob is damaged and missing from the export");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

struct Sink<'a> {
    incoming: Option<Incoming>,
    media: &'a mut Media,
    now: Millis,
}

impl MediaSink for Sink<'_> {
    fn begin(&mut self, hash: &[u8; 32], size: u64, own: bool) -> Result<bool, TransferError> {
        let id = BlobId(*hash);
        let store = &mut *self.media.store;
        let keep = if own { Keep::Own } else { Keep::Cached };
        // It is being fetched, perhaps: the file is nearer.
        self.media.fetcher.forget(&id, store, self.now);
        let begun = match store.begin(id, size, keep, self.now) {
            Ok(Begun::Partial(progress)) if progress.have > 0 => {
                store.remove(&id)?;
                store.begin(id, size, keep, self.now)
            }
            begun => begun,
        };
        match begun {
            Ok(Begun::Whole) | Err(BlobError::OverBudget) => return Ok(false),
            Ok(Begun::Partial(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.incoming = Some(Incoming {
            id,
            have: 0,
            dropped: false,
        });
        Ok(true)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let Some(incoming) = self.incoming.as_mut().filter(|incoming| !incoming.dropped) else {
            return Ok(());
        };
        match self
            .media
            .store
            .append(&incoming.id, incoming.have, bytes, self.now)
        {
            Ok(()) => incoming.have += bytes.len() as u64,
            // Others' pictures have to wait; or room was made at the cost of this one.
            Err(BlobError::OverBudget | BlobError::OutOfTurn(_)) => {
                incoming.dropped = true;
                self.media.store.remove(&incoming.id)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn finish(&mut self, genuine: bool) -> Result<bool, TransferError> {
        let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.dropped) else {
            return Ok(false);
        };
        if genuine {
            self.media.store.finish(&incoming.id, self.now)?;
        } else {
            self.media.store.remove(&incoming.id)?;
        }
        Ok(genuine)
    }
}
