//! Frames and their joiner: anything may arrive, what is joined is what was sent, what is kept is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::sync::frame::{Joiner, MAX_MESSAGE, split};
use sazanami_core::transport::MAX_FRAME;

#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    Frame(Vec<u8>),
    Long { header: u8, byte: u8, length: u16 },
    Message(String, u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let mut joiner = Joiner::default();
    let mut taken = 0;
    for step in steps.into_iter().take(64) {
        match step {
            Step::Frame(frame) => push(&mut joiner, &frame, &mut taken),
            Step::Long { header, byte, length } => {
                let mut frame = vec![byte; usize::from(length)];
                frame.insert(0, header);
                push(&mut joiner, &frame, &mut taken);
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
        }
    }
});

fn push(joiner: &mut Joiner, frame: &[u8], taken: &mut usize) {
    match joiner.push(frame) {
        Ok(None) => {
            *taken += frame.len() - 1;
            assert!(*taken <= MAX_MESSAGE, "{taken} bytes are kept");
        }
        Ok(Some(text)) => {
            assert_eq!(
                text.len(),
                *taken + frame.len() - 1,
                "a piece was lost or made up"
            );
            *taken = 0;
        }
        // A link with an error is over; what comes next belongs to another one.
        Err(_) => {
            *joiner = Joiner::default();
            *taken = 0;
        }
    }
}
