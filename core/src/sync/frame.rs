//! Messages on a link: split into frames of at most [`MAX_FRAME`] bytes and joined again under a limit.
//!
//! A frame is one header byte and a piece of what it carries; the header tells what that is and whether more pieces
//! follow. Headers 0 and 1 are one text message, 3 and 4 a unit of packed messages ([`super::pack`]).

use super::pack::MAX_UNIT;
use crate::transport::MAX_FRAME;

/// Largest message, in bytes: an event of 64 KiB, or a reconciliation message of 60,000 bytes in hex, with room.
pub const MAX_MESSAGE: usize = 256 * 1024;

const LAST: u8 = 0;
const MORE: u8 = 1;
const PACKED_LAST: u8 = 3;
const PACKED_MORE: u8 = 4;
const URGENT: u8 = 5;

/// What was received is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Empty, or an unknown header.
    #[error("a frame has no valid header")]
    Header,
    /// Over [`MAX_FRAME`], [`MAX_MESSAGE`] or [`MAX_UNIT`].
    #[error("a frame or a message is too large")]
    TooLarge,
    /// Not UTF-8.
    #[error("a message is not UTF-8")]
    NotText,
}

/// The frames of a text message.
pub fn split(message: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    pieces(message.as_bytes(), LAST, MORE)
}

/// The frame of a short text message that passes those whose pieces are under way.
pub fn urgent(message: &str) -> Vec<u8> {
    debug_assert!(message.len() < MAX_FRAME, "an urgent message is short");
    let mut frame = Vec::with_capacity(message.len() + 1);
    frame.push(URGENT);
    frame.extend_from_slice(message.as_bytes());
    frame
}

/// The frames of a unit of packed messages.
pub fn split_unit(unit: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    pieces(unit, PACKED_LAST, PACKED_MORE)
}

/// Whether a frame is a piece of a unit of packed messages.
pub fn is_packed(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(PACKED_LAST | PACKED_MORE)))
}

fn pieces(bytes: &[u8], last_header: u8, more_header: u8) -> impl Iterator<Item = Vec<u8>> + '_ {
    let pieces = bytes.chunks(MAX_FRAME - 1);
    let last = pieces.len().saturating_sub(1);
    pieces.enumerate().map(move |(i, piece)| {
        let mut frame = Vec::with_capacity(piece.len() + 1);
        frame.push(if i == last { last_header } else { more_header });
        frame.extend_from_slice(piece);
        frame
    })
}

/// Joins frames to text messages; holds at most [`MAX_MESSAGE`] bytes.
#[derive(Debug, Default)]
pub struct Joiner {
    partial: Vec<u8>,
}

/// Joins frames to units of packed messages; holds at most [`MAX_UNIT`] bytes.
#[derive(Debug, Default)]
pub struct UnitJoiner {
    partial: Vec<u8>,
}

impl UnitJoiner {
    /// Takes a frame; answers a unit when this was its last piece.
    ///
    /// # Errors
    /// See [`FrameError`]; the link is not worth keeping then.
    pub fn push(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        match add(&mut self.partial, frame, MAX_UNIT)? {
            PACKED_MORE => Ok(None),
            PACKED_LAST => Ok(Some(std::mem::take(&mut self.partial))),
            _ => Err(FrameError::Header),
        }
    }
}

/// Adds a frame's piece to what came before it; answers its header.
fn add(partial: &mut Vec<u8>, frame: &[u8], limit: usize) -> Result<u8, FrameError> {
    let (header, piece) = frame.split_first().ok_or(FrameError::Header)?;
    if frame.len() > MAX_FRAME || partial.len() + piece.len() > limit {
        return Err(FrameError::TooLarge);
    }
    partial.extend_from_slice(piece);
    Ok(*header)
}

impl Joiner {
    /// Takes a frame; answers a message when this was its last piece.
    ///
    /// # Errors
    /// See [`FrameError`]; the link is not worth keeping then.
    pub fn push(&mut self, frame: &[u8]) -> Result<Option<String>, FrameError> {
        if let Some((&URGENT, message)) = frame.split_first() {
            if frame.len() > MAX_FRAME {
                return Err(FrameError::TooLarge);
            }
            return String::from_utf8(message.to_vec())
                .map(Some)
                .map_err(|_| FrameError::NotText);
        }
        match add(&mut self.partial, frame, MAX_MESSAGE)? {
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
        fn a_unit_that_is_split_is_joined(unit in prop::collection::vec(any::<u8>(), 1..60_000)) {
            let (mut joiner, mut joined) = (UnitJoiner::default(), None);
            for frame in split_unit(&unit) {
                prop_assert!(frame.len() <= MAX_FRAME && is_packed(&frame) && joined.is_none());
                joined = joiner.push(&frame).unwrap();
            }
            prop_assert_eq!(joined, Some(unit));
        }

        #[test]
        fn garbage_never_panics(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..50)) {
            let mut joiner = Joiner::default();
            let mut units = UnitJoiner::default();
            for frame in frames {
                let _ = joiner.push(&frame);
                let _ = units.push(&frame);
            }
        }
    }

    #[test]
    fn an_endless_message_is_refused() {
        let mut joiner = Joiner::default();
        let frame = [vec![MORE], vec![b'a'; MAX_FRAME - 1]].concat();
        let refused = (0..100).find_map(|_| joiner.push(&frame).err());
        assert_eq!(refused, Some(FrameError::TooLarge));
        let frame = [vec![PACKED_MORE], vec![b'a'; MAX_FRAME - 1]].concat();
        let mut joiner = UnitJoiner::default();
        let refused = (0..100).find_map(|_| joiner.push(&frame).err());
        assert_eq!(refused, Some(FrameError::TooLarge));
        assert_eq!(
            Joiner::default().push(&vec![0; MAX_FRAME + 1]),
            Err(FrameError::TooLarge)
        );
    }
}
