//! What a session allows, and what ends it.

use super::*;
use crate::transport::MAX_FRAME;

fn chunk(number: u32, offset: u64, length: usize) -> Vec<u8> {
    BlobMessage::Chunk {
        number,
        offset,
        bytes: vec![7; length],
    }
    .to_frame()
}

fn get(number: u32, id: BlobId, offset: u64, length: u32) -> Vec<u8> {
    BlobMessage::Get {
        number,
        id,
        offset,
        length,
    }
    .to_frame()
}

/// A session that has requested 1,000 bytes as its first request.
fn requesting() -> BlobSession {
    let mut session = BlobSession::default();
    session.get(BlobId([7; 32]), 500, 1_000, START);
    session
}

#[test]
fn only_what_was_asked_for_is_taken() {
    let store = MemoryBlobs::default();
    for (frame, why) in [
        (chunk(2, 500, 10), "another number"),
        (chunk(1, 0, 10), "an earlier offset"),
        (chunk(1, 501, 10), "a gap"),
        (chunk(1, 500, 1_001), "more than was asked for"),
        (chunk(1, u64::MAX, 10), "an offset past everything"),
        (vec![BLOB_FRAME], "a header alone"),
        (vec![BLOB_FRAME; MAX_FRAME + 1], "a frame that is too large"),
    ] {
        let result = requesting().frame(&frame, &store, START);
        assert!(result.is_err(), "{why}");
    }
    let mut session = requesting();
    session.frame(&chunk(1, 500, 400), &store, START).unwrap();
    session.frame(&chunk(1, 900, 600), &store, START).unwrap();
    assert!(
        session.frame(&chunk(1, 1_500, 1), &store, START).is_err(),
        "it was all"
    );
    let offsets: Vec<_> = std::iter::from_fn(|| session.poll_event())
        .map(|event| match event {
            BlobEvent::Chunk { offset, bytes, .. } => (offset, bytes.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(offsets, [(500, 400), (900, 600)]);
}

#[test]
fn what_was_cancelled_may_still_come() {
    let store = MemoryBlobs::default();
    let mut session = requesting();
    session.cancel(&BlobId([7; 32]));
    session.frame(&chunk(1, 500, 400), &store, START).unwrap();
    let refusal = BlobMessage::Refuse {
        number: 1,
        reason: Refusal::Cancelled,
    };
    session.frame(&refusal.to_frame(), &store, START).unwrap();
    assert_eq!(session.poll_event(), None);
    assert!(
        session.frame(&refusal.to_frame(), &store, START).is_err(),
        "twice"
    );
}

#[test]
fn a_peer_cannot_ask_for_too_much() {
    let mut store = MemoryBlobs::default();
    let id = store.put(&bytes(1_000_000, 1), Keep::Own, START).unwrap();
    let refused = |session: &mut BlobSession, reason| {
        let frame = session.poll_frame(&store).expect("an answer");
        matches!(BlobMessage::parse(&frame), Ok(BlobMessage::Refuse { reason: found, .. }) if found == reason)
    };
    let mut session = BlobSession::default();
    for (offset, length) in [(0, 0), (0, 200_000)] {
        assert!(session.frame(&get(1, id, offset, length), &store, START).is_err());
    }
    for frame in [
        get(2, id, 999_000, 1_001),
        get(3, id, u64::MAX, 9),
        get(4, BlobId([7; 32]), 0, 9),
    ] {
        session.frame(&frame, &store, START).unwrap();
        assert!(refused(&mut session, Refusal::Gone));
    }
    // A hoard of requests.
    let hoard = (0..1_000).find(|number| session.frame(&get(10 + number, id, 0, 9), &store, START).is_err());
    assert!(hoard.is_some_and(|number| number < 100));
    // More bytes than its share: not now, and again when the time has passed.
    let mut session = BlobSession::default();
    session.set_byte_limit(100_000);
    session.frame(&get(1, id, 0, 100_000), &store, START).unwrap();
    while session.poll_frame(&store).is_some() {}
    session.frame(&get(2, id, 0, 10), &store, START).unwrap();
    assert!(refused(&mut session, Refusal::Busy));
    let later = START + Duration::from_secs(600);
    session.frame(&get(3, id, 0, 10), &store, later).unwrap();
    assert!(!refused(&mut session, Refusal::Busy));
}

#[test]
fn a_peer_that_does_not_stop_asking_is_hostile() {
    let store = MemoryBlobs::default();
    let mut session = BlobSession::default();
    let question = |number| {
        let ids = vec![BlobId([7; 32])];
        BlobMessage::Ask { number, ids }.to_frame()
    };
    let mut asked = 0;
    while session.frame(&question(asked), &store, START).is_ok() {
        asked += 1;
        assert!(session.poll_frame(&store).is_some(), "each has an answer");
        assert!(asked < 10_000, "it goes on without end");
    }
    assert!(asked > 3_600);
    // One that does not read its answers.
    let mut session = BlobSession::default();
    let unread = (0..10_000).find(|number| session.frame(&question(*number), &store, START).is_err());
    assert!(unread.is_some_and(|number| number < 600));
}

#[test]
fn answers_must_fit_their_question() {
    let store = MemoryBlobs::default();
    let have = |number, sizes| BlobMessage::Have { number, sizes }.to_frame();
    let mut session = BlobSession::default();
    session.ask(&[BlobId([1; 32]), BlobId([2; 32])], START);
    assert!(
        session.frame(&have(1, vec![None]), &store, START).is_err(),
        "one for two"
    );
    assert!(
        session.frame(&have(9, vec![None]), &store, START).is_err(),
        "nobody asked"
    );
    let mut session = BlobSession::default();
    session.ask(&[BlobId([1; 32]), BlobId([2; 32])], START);
    session.tick(START + Duration::from_secs(60));
    let lacks = |id| Some(BlobEvent::Lacks(BlobId([id; 32])));
    assert_eq!(
        [session.poll_event(), session.poll_event()],
        [lacks(1), lacks(2)],
        "no answer is a no"
    );
    session
        .frame(&have(1, vec![None, Some(5)]), &store, START)
        .expect("late is not wrong");
    assert_eq!(session.poll_event(), None);
}

proptest! {
    /// Whatever comes, a session says only what was asked for, and its queues stay bounded.
    #[test]
    fn garbage_does_no_harm(frames in proptest::collection::vec((0u8..8, 0u32..6, 0u64..2_000, 0usize..600), 1..200)) {
        let mut store = MemoryBlobs::default();
        let id = store.put(&bytes(1_000, 1), Keep::Own, START).unwrap();
        let mut session = requesting();
        let mut taken = 0;
        for (kind, number, offset, length) in frames {
            let frame = match kind {
                0 => chunk(number, offset, length.max(1)),
                1 => get(number, id, offset, u32::try_from(length).unwrap()),
                2 => BlobMessage::Refuse { number, reason: Refusal::Gone }.to_frame(),
                3 => BlobMessage::Cancel { number }.to_frame(),
                4 => BlobMessage::Have { number, sizes: vec![Some(offset)] }.to_frame(),
                5 => BlobMessage::Ask { number, ids: vec![id; 1 + length % 64] }.to_frame(),
                6 => vec![BLOB_FRAME; length],
                _ => vec![BLOB_FRAME, b'G', 0, 0, 0, 0, 9],
            };
            if session.frame(&frame, &store, START).is_err() {
                break;
            }
            if let Some(frame) = session.poll_frame(&store) {
                prop_assert!(frame.len() <= MAX_FRAME);
            }
            while let Some(event) = session.poll_event() {
                if let BlobEvent::Chunk { offset, bytes, .. } = event {
                    prop_assert_eq!(offset, 500 + taken);
                    taken += bytes.len() as u64;
                }
            }
        }
        prop_assert!(taken <= 1_000);
    }
}
