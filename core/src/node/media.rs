//! Images and files: what the interface asks of them, and fetching them over all links.

use super::api::{Blob, Change, Reply, RequestError};
use super::links::Link;
use super::{Node, Output};
use crate::media::{BlobError, BlobId, BlobStore, DEFAULT_BUDGET, Keep, MemoryBlobs};
use crate::store::Store;
use crate::sync::blobs::{Action, FetchEvent, Fetcher, Urgency, Want, Wanted};
use crate::time::Millis;
use crate::transport::{LinkId, TransportCommand};

/// The setting that holds what media may take, in bytes.
const BUDGET: &str = "media-budget";

/// Blobs, and what is being fetched.
pub(super) struct Media {
    pub(super) store: Box<dyn BlobStore>,
    pub(super) fetcher: Fetcher,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            store: Box::new(MemoryBlobs::default()),
            fetcher: Fetcher::default(),
        }
    }
}

impl From<BlobError> for RequestError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::TooLarge(_) => Self::FileTooLarge,
            _ if error.is_full() => Self::Full,
            _ => Self::Storage(error.to_string()),
        }
    }
}

impl<S: Store> Node<S> {
    /// Keeps blobs here; without it they are in memory.
    pub fn with_blobs(mut self, blobs: Box<dyn BlobStore>) -> Self {
        self.media.store = blobs;
        match self.store.setting(BUDGET) {
            Ok(budget) => {
                let bytes = budget
                    .and_then(|bytes| bytes.parse().ok())
                    .unwrap_or(DEFAULT_BUDGET);
                if let Err(error) = self.media.store.set_budget(bytes) {
                    tracing::warn!(%error, "media keep more than they may");
                }
            }
            Err(error) => tracing::warn!(%error, "the budget of media is not known"),
        }
        self
    }

    /// The blobs, to look into.
    pub fn blobs(&self) -> &dyn BlobStore {
        &*self.media.store
    }

    pub(super) fn keep_blob(&mut self, bytes: &[u8], now: Millis) -> Result<Reply, RequestError> {
        let id = self.media.store.put(bytes, Keep::Own, now)?;
        self.media.fetcher.forget(&id, &mut *self.media.store, now);
        Ok(Reply::BlobKept(id))
    }

    pub(super) fn blob(&mut self, id: BlobId, size: Option<u64>, now: Millis) -> Result<Reply, RequestError> {
        match self.media.store.read_checked(&id, now) {
            Ok(Some(bytes)) => return Ok(Reply::Blob(Blob::Here(bytes))),
            Ok(None) => {}
            Err(BlobError::Damaged(_)) => tracing::warn!(%id, "a blob was damaged, it is fetched again"),
            Err(error) => return Err(error.into()),
        }
        let want = Want {
            id,
            size,
            keep: Keep::Cached,
            urgency: Urgency::Now,
        };
        if self.media.fetcher.want(want, &mut *self.media.store, now) == Wanted::TooMany {
            tracing::warn!(%id, "too many blobs are wanted at once");
        }
        let state = self.media.fetcher.state(&id);
        Ok(Reply::Blob(Blob::Coming {
            have: state.map_or(0, |state| state.have),
            size: state.and_then(|state| state.size).or(size),
            holders: state.map_or(0, |state| state.holders),
        }))
    }

    pub(super) fn forget_blob(&mut self, id: &BlobId, now: Millis) {
        self.media.fetcher.forget(id, &mut *self.media.store, now);
    }

    pub(super) fn delete_blob(&mut self, id: &BlobId, now: Millis) -> Result<(), RequestError> {
        self.forget_blob(id, now);
        self.media.store.remove(id)?;
        Ok(())
    }

    pub(super) fn set_media_budget(&mut self, bytes: u64) -> Result<(), RequestError> {
        self.store.set_setting(BUDGET, Some(&bytes.to_string()))?;
        Ok(self.media.store.set_budget(bytes)?)
    }

    // Links

    pub(super) fn blobs_joined(&mut self, id: LinkId, now: Millis) {
        if let Some(link) = self.links.get(&id) {
            self.media.fetcher.joined(link.peer, now);
        }
    }

    pub(super) fn blobs_left(&mut self, peer: crate::signaling::SessionId, now: Millis) {
        self.media.fetcher.left(peer, &mut *self.media.store, now);
    }

    /// A frame about blobs. The session may end by it.
    pub(super) fn blob_frame(&mut self, id: LinkId, frame: &[u8], now: Millis) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if let Some(session) = link.session_mut() {
            session.blob_frame(frame, &*self.media.store, now);
        }
        self.drive_blobs(now);
        self.with_session(id, now, |_, _| Ok(()));
    }

    pub(super) fn tick_blobs(&mut self, now: Millis) {
        for session in self.links.values_mut().filter_map(Link::session_mut) {
            session.blobs().tick(now);
        }
        self.media.fetcher.tick(&mut *self.media.store, now);
        self.drive_blobs(now);
    }

    /// Carries between sessions and fetcher what each has to say.
    pub(super) fn drive_blobs(&mut self, now: Millis) {
        loop {
            let mut quiet = true;
            for link in self.links.values_mut() {
                let peer = link.peer;
                let Some(session) = link.session_mut() else {
                    continue;
                };
                while let Some(event) = session.blobs().poll_event() {
                    quiet = false;
                    let Media { fetcher, store } = &mut self.media;
                    fetcher.event(peer, event, &mut **store, now);
                }
            }
            while let Some((peer, action)) = self.media.fetcher.poll_action() {
                quiet = false;
                let link = self.by_session.get(&peer).and_then(|id| self.links.get_mut(id));
                let Some(session) = link.and_then(Link::session_mut) else {
                    continue;
                };
                match action {
                    Action::Ask(ids) => session.blobs().ask(&ids, now),
                    Action::Get { id, offset, length } => session.blobs().get(id, offset, length, now),
                    Action::Cancel(id) => session.blobs().cancel(&id),
                }
            }
            while let Some(event) = self.media.fetcher.poll_event() {
                quiet = false;
                self.fetch_event(event, now);
            }
            if quiet {
                return;
            }
        }
    }

    fn fetch_event(&mut self, event: FetchEvent, now: Millis) {
        match event {
            FetchEvent::Fetched(id) => self.change(Change::Blob(id)),
            FetchEvent::Failed { id, error } => {
                tracing::debug!(%id, %error, "a blob is given up");
                self.change(Change::Blob(id));
            }
            FetchEvent::NoRoom(_) => self.change(Change::MediaFull),
            FetchEvent::Hostile(peer) => {
                tracing::info!(%peer, "a peer sent bytes that are not the blob's");
                let link = self.by_session.get(&peer).copied();
                let person = link.and_then(|id| self.links.get(&id)?.person);
                self.mesh.ban(peer, person, now);
                if let Some(id) = link {
                    self.drop_link(id, now, true);
                }
            }
        }
    }

    /// Sends what there is about blobs, once the session has nothing else to send.
    pub(super) fn flush_blobs(&mut self, id: LinkId) {
        let Some(Link {
            session: Some(session),
            bytes,
            ..
        }) = self.links.get_mut(&id)
        else {
            return;
        };
        while let Some(frame) = session.poll_blob_frame(&*self.media.store) {
            bytes.sent += frame.len() as u64;
            self.outputs
                .push_back(Output::Transport(TransportCommand::Send { link: id, frame }));
        }
    }
}
