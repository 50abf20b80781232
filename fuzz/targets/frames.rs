//! Frames and their joiners: anything may arrive, what is joined is what was sent, what is kept is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::sync::frame::{
    FrameError, Joiner, MAX_MESSAGE, UnitJoiner, is_packed, split, split_unit, urgent,
};
use sazanami_core::sync::pack::MAX_UNIT;
use sazanami_core::transport::MAX_FRAME;

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Frame(Vec<u8>),
    Long { header: u8, byte: u8, length: u16 },
    Message(String, u16),
    Unit(Vec<u8>, u16),
}

/// Both joiners of a link, and how much each has taken.
#[derive(Default)]
struct Link {
    texts: Joiner,
    units: UnitJoiner,
    taken: (usize, usize),
}

fuzz_target!(|steps: Vec<Step>| {
    let mut link = Link::default();
    for step in steps.into_iter().take(64) {
        match step {
            Step::Frame(frame) => link.push(&frame),
            Step::Long { header, byte, length } => {
                let mut frame = vec![byte; usize::from(length)];
                frame.insert(0, header);
                link.push(&frame);
            }
            Step::Message(text, times) => {
                let text = text.repeat(usize::from(times) % 512);
                if text.len() > MAX_MESSAGE || text.is_empty() {
                    continue;
                }
                let mut fresh = Joiner::default();
                let frames: Vec<_> = split(&text).collect();
                for (n, frame) in frames.iter().enumerate() {
                    assert!(frame.len() <= MAX_FRAME);
                    let joined = fresh.push(frame).expect("own frames join");
                    assert_eq!(joined.is_some(), n + 1 == frames.len());
                    if let Some(joined) = joined {
                        assert_eq!(joined, text);
                    }
                }
            }
            Step::Unit(bytes, times) => {
                let unit = bytes.repeat(usize::from(times) % 512);
                if unit.len() > MAX_UNIT || unit.is_empty() {
                    continue;
                }
                let mut fresh = UnitJoiner::default();
                let frames: Vec<_> = split_unit(&unit).collect();
                for (n, frame) in frames.iter().enumerate() {
                    assert!(frame.len() <= MAX_FRAME && is_packed(frame));
                    let joined = fresh.push(frame).expect("own frames join");
                    assert_eq!(joined.is_some(), n + 1 == frames.len());
                    assert!(joined.is_none_or(|joined| joined == unit));
                }
            }
        }
    }
});

impl Link {
    fn push(&mut self, frame: &[u8]) {
        let (joined, taken, most) = if is_packed(frame) {
            let joined = self.units.push(frame).map(|unit| unit.map(|unit| unit.len()));
            (joined, &mut self.taken.1, MAX_UNIT)
        } else {
            let joined = self.texts.push(frame).map(|text| text.map(|text| text.len()));
            (joined, &mut self.taken.0, MAX_MESSAGE)
        };
        match joined {
            Ok(None) => {
                *taken += frame.len() - 1;
                assert!(*taken <= most, "{taken} bytes are kept");
            }
            // Passes those whose pieces are under way.
            Ok(Some(length)) if frame[0] == urgent("")[0] => assert_eq!(length, frame.len() - 1),
            Ok(Some(length)) => {
                assert_eq!(length, *taken + frame.len() - 1, "a piece was lost or made up");
                *taken = 0;
            }
            // A link with an error is over; what comes next belongs to another one.
            Err(FrameError::Header | FrameError::TooLarge | FrameError::NotText) => *self = Self::default(),
        }
    }
}
