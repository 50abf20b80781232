//! Blob messages and their binary form.

use crate::media::BlobId;
use crate::transport::MAX_FRAME;

/// The first byte of a frame that carries a blob message; 0 and 1 are pieces of text.
pub const BLOB_FRAME: u8 = 2;
/// Frame byte, tag, number.
const HEADER: usize = 6;
/// Bytes of a blob in one frame: with its header a chunk fills a frame of 16 KiB.
pub const CHUNK: usize = MAX_FRAME - HEADER - 8;
/// Blobs in one question.
pub(super) const MAX_IDS: usize = 64;
/// In place of a size: it is not here.
const ABSENT: u64 = u64::MAX;

/// Why a range is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The blob is not here (any more).
    Gone,
    /// The peer has had its share for now.
    Busy,
    /// The peer cancelled it.
    Cancelled,
}

/// What peers say about blobs. The number ties an answer to its question; each side counts its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobMessage {
    /// Which of these do you have?
    Ask {
        /// The question.
        number: u32,
        /// At most 64.
        ids: Vec<BlobId>,
    },
    /// These, of so many bytes.
    Have {
        /// The question.
        number: u32,
        /// In its order; `None` for those that are not here.
        sizes: Vec<Option<u64>>,
    },
    /// Send this range.
    Get {
        /// The request.
        number: u32,
        /// Of which blob.
        id: BlobId,
        /// From where.
        offset: u64,
        /// How many bytes.
        length: u32,
    },
    /// Bytes of a range, in order, without gaps.
    Chunk {
        /// The request.
        number: u32,
        /// Where in the blob.
        offset: u64,
        /// At most [`CHUNK`].
        bytes: Vec<u8>,
    },
    /// A range ends here.
    Refuse {
        /// The request.
        number: u32,
        /// Why.
        reason: Refusal,
    },
    /// A range is not wanted any more. Answered by a refusal unless its last chunk is under way.
    Cancel {
        /// The request.
        number: u32,
    },
    /// Of another version: to be ignored.
    Unknown,
}

/// Bytes that are no blob message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a blob message: {0}")]
pub struct BadBlobMessage(&'static str);

impl BlobMessage {
    /// Reads a frame.
    ///
    /// # Errors
    /// When it is none; an unknown tag is not an error.
    pub fn parse(frame: &[u8]) -> Result<Self, BadBlobMessage> {
        if frame.len() > MAX_FRAME {
            return Err(BadBlobMessage("the frame is too large"));
        }
        let Some(([BLOB_FRAME, tag], rest)) = frame.split_first_chunk::<2>() else {
            return Err(BadBlobMessage("no header"));
        };
        if !matches!(tag, b'A' | b'H' | b'G' | b'C' | b'R' | b'X') {
            return Ok(Self::Unknown);
        }
        let (number, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
        let number = u32::from_le_bytes(*number);
        Ok(match tag {
            b'A' => Self::Ask {
                number,
                ids: list(rest, |id: &[u8; 32]| BlobId(*id))?,
            },
            b'H' => Self::Have {
                number,
                sizes: list(rest, |size: &[u8; 8]| {
                    Some(u64::from_le_bytes(*size)).filter(|size| *size != ABSENT)
                })?,
            },
            b'G' => {
                let (id, rest) = rest.split_first_chunk::<32>().ok_or(SHORT)?;
                let (offset, length) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
                Self::Get {
                    number,
                    id: BlobId(*id),
                    offset: u64::from_le_bytes(*offset),
                    length: u32::from_le_bytes(length.try_into().map_err(|_| SHORT)?),
                }
            }
            b'C' => {
                let (offset, bytes) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
                if bytes.is_empty() {
                    return Err(BadBlobMessage("an empty chunk"));
                }
                Self::Chunk {
                    number,
                    offset: u64::from_le_bytes(*offset),
                    bytes: bytes.to_vec(),
                }
            }
            b'R' => Self::Refuse {
                number,
                reason: match rest {
                    [0] => Refusal::Gone,
                    [2] => Refusal::Cancelled,
                    // Another version's reasons are of the kind that passes.
                    [_] => Refusal::Busy,
                    _ => return Err(SHORT),
                },
            },
            _ => Self::Cancel { number },
        })
    }

    /// The frame that carries it.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Self::Ask { number, ids } => {
                let mut frame = header(b'A', *number, ids.len() * 32);
                ids.iter().for_each(|id| frame.extend(id.0));
                frame
            }
            Self::Have { number, sizes } => {
                let mut frame = header(b'H', *number, sizes.len() * 8);
                for size in sizes {
                    frame.extend(size.unwrap_or(ABSENT).to_le_bytes());
                }
                frame
            }
            Self::Get {
                number,
                id,
                offset,
                length,
            } => {
                let mut frame = header(b'G', *number, 44);
                frame.extend(id.0);
                frame.extend(offset.to_le_bytes());
                frame.extend(length.to_le_bytes());
                frame
            }
            Self::Chunk {
                number,
                offset,
                bytes,
            } => {
                let mut frame = header(b'C', *number, 8 + bytes.len());
                frame.extend(offset.to_le_bytes());
                frame.extend_from_slice(bytes);
                frame
            }
            Self::Refuse { number, reason } => {
                let mut frame = header(b'R', *number, 1);
                frame.push(match reason {
                    Refusal::Gone => 0,
                    Refusal::Busy => 1,
                    Refusal::Cancelled => 2,
                });
                frame
            }
            Self::Cancel { number } => header(b'X', *number, 0),
            Self::Unknown => vec![BLOB_FRAME, 0],
        }
    }
}

const SHORT: BadBlobMessage = BadBlobMessage("it ends early or late");

fn header(tag: u8, number: u32, room: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + room);
    frame.extend([BLOB_FRAME, tag]);
    frame.extend(number.to_le_bytes());
    frame
}

fn list<const N: usize, T>(bytes: &[u8], read: impl Fn(&[u8; N]) -> T) -> Result<Vec<T>, BadBlobMessage> {
    let (items, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() && (1..=MAX_IDS).contains(&items.len()) {
        Ok(items.iter().map(read).collect())
    } else {
        Err(BadBlobMessage("not a list of 1 to 64"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = BlobMessage> {
        let id = any::<[u8; 32]>().prop_map(BlobId);
        let size = prop_oneof![Just(None), (0..ABSENT).prop_map(Some)];
        let reason = prop_oneof![Just(Refusal::Gone), Just(Refusal::Busy), Just(Refusal::Cancelled)];
        prop_oneof![
            (any::<u32>(), proptest::collection::vec(id.clone(), 1..=MAX_IDS))
                .prop_map(|(number, ids)| BlobMessage::Ask { number, ids }),
            (any::<u32>(), proptest::collection::vec(size, 1..=MAX_IDS))
                .prop_map(|(number, sizes)| BlobMessage::Have { number, sizes }),
            (any::<u32>(), id, any::<u64>(), any::<u32>()).prop_map(|(number, id, offset, length)| {
                BlobMessage::Get {
                    number,
                    id,
                    offset,
                    length,
                }
            }),
            (any::<u32>(), any::<u64>(), 1..=CHUNK).prop_map(|(number, offset, length)| {
                BlobMessage::Chunk {
                    number,
                    offset,
                    bytes: vec![7; length],
                }
            }),
            (any::<u32>(), reason).prop_map(|(number, reason)| BlobMessage::Refuse { number, reason }),
            any::<u32>().prop_map(|number| BlobMessage::Cancel { number }),
        ]
    }

    proptest! {
        #[test]
        fn every_message_reads_back_and_fits_a_frame(message in message()) {
            let frame = message.to_frame();
            prop_assert!(frame.len() <= MAX_FRAME);
            prop_assert_eq!(BlobMessage::parse(&frame), Ok(message));
        }

        #[test]
        fn garbage_is_an_error_or_unknown(tag in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = BlobMessage::parse(&rest);
            let mut frame = vec![BLOB_FRAME, tag];
            frame.extend(rest);
            if let Ok(message) = BlobMessage::parse(&frame)
                && message != BlobMessage::Unknown
            {
                prop_assert_eq!(BlobMessage::parse(&message.to_frame()), Ok(message));
            }
        }
    }

    #[test]
    fn a_full_chunk_fills_a_frame() {
        let chunk = |length| BlobMessage::Chunk {
            number: 1,
            offset: 0,
            bytes: vec![0; length],
        };
        assert_eq!(chunk(CHUNK).to_frame().len(), MAX_FRAME);
        assert!(BlobMessage::parse(&chunk(CHUNK + 1).to_frame()).is_err());
        assert!(BlobMessage::parse(&[]).is_err());
        assert!(BlobMessage::parse(&[0, b'A', 0, 0, 0, 0]).is_err());
    }
}
