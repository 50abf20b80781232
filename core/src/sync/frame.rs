//! Messages on a link: split into frames of at most [`MAX_FRAME`] bytes and joined again under a limit.
//!
//! A frame is one header byte and a piece of UTF-8 text; the header tells whether more pieces follow.

use crate::transport::MAX_FRAME;

/// Largest message, in bytes: an event of 64 KiB, or a reconciliation message of 60,000 bytes in hex, with room.
pub const MAX_MESSAGE: usize = 256 * 1024;

const LAST: u8 = 0;
const MORE: u8 = 1;

/// What was received is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Empty, or an unknown header.
    #[error("a frame has no valid header")]
    Header,
    /// Over [`MAX_FRAME`] or [`MAX_MESSAGE`].
    #[error("a message is larger than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("a message is not UTF-8")]
    NotText,
}

/// The frames of a message.
pub fn split(message: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let pieces = message.as_bytes().chunks(MAX_FRAME - 1);
    let last = pieces.len().saturating_sub(1);
    pieces.enumerate().map(move |(i, piece)| {
        let mut frame = Vec::with_capacity(piece.len() + 1);
        frame.push(if i == last { LAST } else { MORE });
        frame.extend_from_slice(piece);
        frame
    })
}

/// Joins frames to messages; holds at most [`MAX_MESSAGE`] bytes.
#[derive(Debug, Default)]
pub struct Joiner {
    partial: Vec<u8>,
}

impl Joiner {
    /// Takes a frame; answers a message when this was its last piece.
    ///
    /// # Errors
    /// See [`FrameError`]; the link is not worth keeping then.
    pub fn push(&mut self, frame: &[u8]) -> Result<Option<String>, FrameError> {
        let (header, piece) = frame.split_first().ok_or(FrameError::Header)?;
        if frame.len() > MAX_FRAME || self.partial.len() + piece.len() > MAX_MESSAGE {
            return Err(FrameError::TooLarge);
        }
        self.partial.extend_from_slice(piece);
        match *header {
            MORE => Ok(None),
            LAST => {
                let whole = std::mem::take(&mut self.partial);
                String::from_utf8(whole)
                    .map(Some)
                    .map_err(|_| FrameError::NotText)
            }
            _ => Err(FrameError::Header),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_split_is_joined(message in "\\PC{0,9000}") {
            prop_assume!(!message.is_empty());
            let mut joiner = Joiner::default();
            let mut joined = None;
            for frame in split(&message) {
                prop_assert!(frame.len() <= MAX_FRAME && joined.is_none());
                joined = joiner.push(&frame).unwrap();
            }
            prop_assert_eq!(joined, Some(message));
        }

        #[test]
        fn garbage_never_panics(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..50)) {
            let mut joiner = Joiner::default();
            for frame in frames {
                let _ = joiner.push(&frame);
            }
        }
    }

    #[test]
    fn an_endless_message_is_refused() {
        let mut joiner = Joiner::default();
        let frame = [vec![MORE], vec![b'a'; MAX_FRAME - 1]].concat();
        let refused = (0..100).find_map(|_| joiner.push(&frame).err());
        assert_eq!(refused, Some(FrameError::TooLarge));
        assert_eq!(
            Joiner::default().push(&vec![0; MAX_FRAME + 1]),
            Err(FrameError::TooLarge)
        );
    }
}
