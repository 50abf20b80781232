//! What leaves a state machine under attack, held to the protocol's own limits.

use sazanami_core::sync::blobs::{BLOB_FRAME, BlobMessage};
use sazanami_core::sync::frame::{Joiner, UnitJoiner, is_packed};
use sazanami_core::sync::{Message, pack};
use sazanami_core::transport::MAX_FRAME;

/// Whether a transport takes the frame.
pub fn fits_the_wire(frame: &[u8]) -> bool {
    !frame.is_empty() && frame.len() <= MAX_FRAME
}

/// Reads what the attacked side sends, as its peer would.
#[derive(Default)]
pub struct Unjoined {
    texts: Joiner,
    units: UnitJoiner,
}

impl Unjoined {
    /// The messages that this frame completes. Panics on what no honest side sends.
    pub fn read(&mut self, frame: &[u8]) -> Vec<Message> {
        assert!(fits_the_wire(frame), "a frame of {} bytes", frame.len());
        if frame[0] == BLOB_FRAME {
            let message = BlobMessage::parse(frame).expect("own blob messages are read");
            assert_ne!(message, BlobMessage::Unknown);
            return Vec::new();
        }
        if is_packed(frame) {
            let unit = self.units.push(frame).expect("own frames join");
            let records = unit.map(|unit| pack::open(unit).expect("own units open"));
            let messages = records.into_iter().flatten();
            return messages
                .map(|record| record.expect("own records are read").0)
                .collect();
        }
        let text = self.texts.push(frame).expect("own frames join");
        let message = text.map(|text| {
            Message::parse(&text).unwrap_or_else(|error| panic!("own message {text:?}: {error}"))
        });
        message.into_iter().collect()
    }
}
