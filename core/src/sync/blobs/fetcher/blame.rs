//! Who sent the bytes that were wrong.

use sha2::{Digest, Sha256};

use crate::media::{BlobError, BlobId, BlobStore};
use crate::signaling::SessionId;

/// Most sources of one attempt that are remembered; with more, the blob is fetched from one peer alone.
pub(super) const MAX_HANDOVERS: usize = 64;
/// Most attempts that are remembered.
pub(super) const MAX_ATTEMPTS: usize = 4;
/// Bytes hashed at a time.
const PIECE: usize = 256 * 1024;

/// A source ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handover {
    /// Up to which byte it sent.
    pub(super) until: u64,
    /// `None` when it was in an earlier life of this node.
    pub(super) from: Option<SessionId>,
    /// The hash of everything up to there.
    pub(super) digest: [u8; 32],
}

/// All sources of a whole that was wrong, in order.
pub(super) type Attempt = Vec<Handover>;

/// The peer that alone sent all of it.
pub(super) fn only_source(attempt: &Attempt) -> Option<SessionId> {
    let first = attempt.first()?.from?;
    attempt
        .iter()
        .all(|handover| handover.from == Some(first))
        .then_some(first)
}

/// The first peer in an attempt whose part differs from the blob that is here now.
pub(super) fn liar(
    attempt: &Attempt,
    id: &BlobId,
    store: &dyn BlobStore,
) -> Result<Option<SessionId>, BlobError> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    for handover in attempt {
        while offset < handover.until {
            let left = usize::try_from(handover.until - offset).unwrap_or(PIECE);
            match store.read(id, offset, left.min(PIECE))? {
                Some(piece) if !piece.is_empty() => {
                    hash.update(&piece);
                    offset += piece.len() as u64;
                }
                // It claimed more bytes than the blob has.
                _ => return Ok(handover.from),
            }
        }
        if <[u8; 32]>::from(hash.clone().finalize()) != handover.digest {
            return Ok(handover.from);
        }
    }
    // Right as far as it went: whoever sent the last byte claimed that it was the last.
    Ok(attempt.last().and_then(|last| last.from))
}
