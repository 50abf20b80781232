//! TURN messages on a stream: anything may arrive in any pieces, what is cut out of it is what was put onto it, and
//! what is kept is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sazanami_core::transport::turn_stream::{TurnJoiner, onto_turn_stream};

fuzz_target!(|input: (Vec<Vec<u8>>, u16)| {
    let (pieces, most) = input;
    let most = usize::from(most);
    let (mut whole, mut pieced) = (TurnJoiner::new(most), TurnJoiner::new(most));
    let stream = pieces.concat();
    whole.push(&stream);
    let (expected, end) = messages(&mut whole);
    let again: Vec<u8> = expected.iter().flat_map(|message| put(message)).collect();
    assert!(again.len() <= stream.len(), "bytes were made up");
    assert!(expected.iter().all(|message| message.len() <= most));

    let mut found = Vec::new();
    for piece in &pieces {
        pieced.push(piece);
        let (more, ended) = messages(&mut pieced);
        found.extend(more);
        if ended {
            break;
        }
    }
    assert_eq!(found, expected, "borders of what arrives matter");
    // A stream that ended badly does so wherever it is cut, at the latest when all is there.
    assert!(!end || messages(&mut pieced).1, "an error was overlooked");
});

fn messages(joiner: &mut TurnJoiner) -> (Vec<Vec<u8>>, bool) {
    let mut all = Vec::new();
    loop {
        match joiner.next_message() {
            Ok(Some(message)) => all.push(message.to_vec()),
            Ok(None) => return (all, false),
            Err(_) => return (all, true),
        }
    }
}

fn put(message: &[u8]) -> Vec<u8> {
    let put = onto_turn_stream(message).expect("what was cut out goes back");
    assert!(put.len().is_multiple_of(4) && put.starts_with(message));
    put
}
