//! Blobs on a session's link: after everything else, and in a smaller window.

use super::{SEND_WINDOW, Session};
use crate::media::BlobStore;
use crate::sync::blobs::BlobSession;
use crate::time::Millis;

/// Bytes on their way while blobs are sent: half of what events may take, so that a new event waits behind 64 KiB at
/// most.
const BLOB_WINDOW: usize = SEND_WINDOW / 2;

impl Session {
    /// The blobs' side of the session.
    pub fn blobs(&mut self) -> &mut BlobSession {
        &mut self.blobs
    }

    /// Takes a frame that begins with [`crate::sync::blobs::BLOB_FRAME`].
    pub fn blob_frame(&mut self, frame: &[u8], store: &dyn BlobStore, now: Millis) {
        if self.ended {
            return;
        }
        self.pulse.heard(now);
        if !self.is_proven() {
            self.end_hostile("the peer asked before it proved who it is");
        } else if let Err(error) = self.blobs.frame(frame, store, now) {
            self.end_hostile(error.0);
        }
    }

    /// The next frame about blobs, once [`Session::poll_frame`] has nothing more to send.
    pub fn poll_blob_frame(&mut self, store: &dyn BlobStore) -> Option<Vec<u8>> {
        if self.in_flight >= BLOB_WINDOW || !self.is_proven() || self.ended {
            return None;
        }
        let frame = self.blobs.poll_frame(store)?;
        self.in_flight += frame.len();
        Some(frame)
    }
}
