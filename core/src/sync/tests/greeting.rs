//! The beginning of a session.

use super::*;

#[test]
fn what_is_lost_while_the_other_side_opens_is_no_part_of_the_greeting() {
    for lost_by_a in [true, false] {
        let mut pair = Pair::new(&[], &[]);
        // All that a side sends before it has heard anything.
        let first = if lost_by_a {
            pair.a.frames()
        } else {
            pair.b.frames()
        };
        assert!(!first.is_empty(), "the other side is shown that this one is open");
        pair.settle();
        assert!(pair.a.proven && pair.b.proven, "at once, without a timer");
    }
}

#[test]
fn a_peer_that_waits_to_be_greeted_is() {
    let mut pair = Pair::new(&[], &[]);
    // It says nothing of itself.
    pair.b.frames();
    let greeted = |pair: &mut Pair| {
        let frames = pair.a.frames();
        frames.iter().any(|frame| {
            let said = pair.from_a.read(frame);
            said.iter()
                .any(|message| matches!(message, Message::Challenge(_)))
        })
    };
    assert!(!greeted(&mut pair));
    pair.a.tick(START + Duration::from_secs(1));
    assert!(greeted(&mut pair));
}
