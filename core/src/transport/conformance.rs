//! What every [`Transport`] must do, as one suite that each implementation runs over its own network.
//!
//! The suite is plain async code without timers, so it runs on any executor, in the browser's page as well: put a
//! time limit around it. It carries the signals between the two sides itself. A panic names the case that failed.

mod pair;

use pair::{A, B, Pair, Side};

use crate::signaling::PeerSignal;
use crate::transport::{
    CloseReason, ConnectOptions, LinkId, MAX_FRAME, SEND_BUFFER, SendError, Transport, TransportEvent,
};

/// Runs every case. `make` makes transports that can reach each other; `options` tells how to connect a side that is
/// polite or not and offers or not.
///
/// # Panics
/// When the transport breaks its contract.
pub async fn suite<T: Transport>(
    mut make: impl FnMut() -> T,
    options: impl Fn(bool /* polite */, bool /* offer */) -> ConnectOptions,
) {
    let mut pair = |case: &'static str| {
        tracing::info!(case, "transport conformance");
        Pair::new(case, make(), make(), &options)
    };
    opens(pair("opens at both ends")).await;
    carries_frames(pair("frames arrive whole and in order, both ways")).await;
    carries_many_frames(pair("10,000 frames each way")).await;
    refuses(pair("TooLarge and NotOpen")).await;
    pushes_back(pair("back-pressure")).await;
    settles_glare(pair("glare")).await;
    restarts(pair("restart")).await;
    closes(pair("close")).await;
    closes_while_connecting(pair("close while connecting")).await;
    ignores_unknown_links(pair("unknown links")).await;
    survives_garbage(pair("garbage")).await;
    keeps_links_apart(pair("many links")).await;
}

async fn opens<T: Transport>(mut pair: Pair<'_, T>) {
    // The offering side may be the polite or the impolite one.
    for (n, offerer) in [(1, A), (2, B)] {
        pair.connect(n, offerer);
        pair.until("both ends open", |p| p.opened(A, n) && p.opened(B, n))
            .await;
        pair.until("both ends know the path", |p| {
            p.path(A, n).is_some() && p.path(B, n).is_some()
        })
        .await;
    }
}

async fn carries_frames<T: Transport>(mut pair: Pair<'_, T>) {
    pair.open(1).await;
    let frames: Vec<Vec<u8>> = [0, 1, 1200, MAX_FRAME, 0, MAX_FRAME - 1, 17]
        .into_iter()
        .enumerate()
        .map(|(i, len)| fill(i, len))
        .collect();
    for side in [A, B] {
        for frame in &frames {
            pair.send(side, 1, frame.clone()).expect("the buffer is empty");
        }
    }
    let count = frames.len();
    pair.until("all frames arrive", |p| {
        p.frames(A, 1).len() == count && p.frames(B, 1).len() == count
    })
    .await;
    for side in [A, B] {
        assert!(
            pair.frames(side, 1) == frames,
            "{}: frames came changed or out of order",
            pair.case
        );
    }
}

async fn carries_many_frames<T: Transport>(mut pair: Pair<'_, T>) {
    const COUNT: usize = 10_000;
    pair.open(1).await;
    let mut next = [0, 0];
    while next != [COUNT, COUNT] {
        for side in [A, B] {
            let next = &mut next[side as usize];
            while *next < COUNT {
                match pair.send(side, 1, fill(*next, 64 + *next % 100)) {
                    Ok(()) => *next += 1,
                    Err(SendError::Full) => break,
                    Err(error) => panic!("{}: {error}", pair.case),
                }
            }
        }
        if next != [COUNT, COUNT] {
            pair.step().await;
        }
    }
    pair.until("all frames arrive", |p| {
        p.frames(A, 1).len() == COUNT && p.frames(B, 1).len() == COUNT
    })
    .await;
    for side in [A, B] {
        for (i, frame) in pair.frames(side, 1).iter().enumerate() {
            assert!(
                *frame == fill(i, 64 + i % 100),
                "{}: frame {i} came changed or out of order",
                pair.case
            );
        }
    }
}

async fn refuses<T: Transport>(mut pair: Pair<'_, T>) {
    assert_eq!(
        pair.send(A, 1, vec![1]),
        Err(SendError::NotOpen),
        "{}: never connected",
        pair.case
    );
    pair.connect(1, A);
    assert_eq!(
        pair.send(A, 1, vec![1]),
        Err(SendError::NotOpen),
        "{}: still connecting",
        pair.case
    );
    pair.until("both ends open", |p| p.opened(A, 1) && p.opened(B, 1))
        .await;
    assert_eq!(
        pair.send(A, 1, vec![0; MAX_FRAME + 1]),
        Err(SendError::TooLarge),
        "{}",
        pair.case
    );
    // A refused frame costs nothing and harms nothing.
    pair.send(A, 1, vec![7; MAX_FRAME]).expect("the link is open");
    pair.until("the next frame arrives", |p| p.frames(B, 1).len() == 1)
        .await;
    pair.close(A, 1);
    assert_eq!(
        pair.send(A, 1, vec![1]),
        Err(SendError::NotOpen),
        "{}: closed",
        pair.case
    );
}

async fn pushes_back<T: Transport>(mut pair: Pair<'_, T>) {
    pair.open(1).await;
    let mut sent = 0;
    for round in 0..4 {
        // Nobody fetches events meanwhile, so the buffer fills however fast the network is.
        let before = sent;
        loop {
            match pair.send(A, 1, fill(sent, MAX_FRAME)) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(error) => panic!("{}: {error}", pair.case),
            }
            assert!(sent - before < 16_384, "{}: never full", pair.case);
        }
        assert!(
            round > 0 || sent * MAX_FRAME >= SEND_BUFFER,
            "{}: full after {} bytes, before SEND_BUFFER",
            pair.case,
            sent * MAX_FRAME
        );
        pair.until("all that was sent is reported as drained", |p| {
            p.drained(A, 1) == sent * MAX_FRAME
        })
        .await;
    }
    pair.until("nothing is lost", |p| p.frames(B, 1).len() == sent)
        .await;
    for (i, frame) in pair.frames(B, 1).iter().enumerate() {
        assert!(
            *frame == fill(i, MAX_FRAME),
            "{}: frame {i} came changed or out of order",
            pair.case
        );
    }
    assert_eq!(
        pair.drained(A, 1),
        sent * MAX_FRAME,
        "{}: more drained than sent",
        pair.case
    );
}

async fn settles_glare<T: Transport>(mut pair: Pair<'_, T>) {
    for n in 1..=3 {
        pair.connect_both(n);
        pair.until("both offered", |p| p.offered(A, n) && p.offered(B, n))
            .await;
        pair.until("both ends open", |p| p.opened(A, n) && p.opened(B, n))
            .await;
        pair.send(A, n, vec![1]).expect("the link is open");
        pair.send(B, n, vec![2]).expect("the link is open");
        pair.until("frames arrive", |p| {
            p.frames(A, n) == [[2]] && p.frames(B, n) == [[1]]
        })
        .await;
    }
}

async fn restarts<T: Transport>(mut pair: Pair<'_, T>) {
    pair.open(1).await;
    for (round, side) in [A, B, A].into_iter().enumerate() {
        let (other, sent) = (side.other(), fill(round, 1000));
        let (offers, answers) = (pair.offers(side, 1), pair.answers(other, 1));
        // On its way meanwhile.
        pair.send(other, 1, sent.clone()).expect("the link is open");
        pair.restart(side, 1);
        pair.until("a restart offers, and is answered", |p| {
            p.offers(side, 1) > offers && p.answers(other, 1) > answers
        })
        .await;
        pair.until("nothing is lost", |p| p.frames(side, 1).contains(&sent))
            .await;
        pair.send(side, 1, sent).expect("the link is open");
    }
    pair.until("frames arrive both ways", |p| {
        p.frames(A, 1).len() == 3 && p.frames(B, 1).len() == 3
    })
    .await;
    // Both at once.
    let offers = [A, B].map(|side| pair.offers(side, 1));
    let answers = pair.answers(A, 1) + pair.answers(B, 1);
    pair.restart(A, 1);
    pair.restart(B, 1);
    pair.until("both offer, and one is answered", |p| {
        p.offers(A, 1) > offers[0]
            && p.offers(B, 1) > offers[1]
            && p.answers(A, 1) + p.answers(B, 1) > answers
    })
    .await;
    pair.send(A, 1, vec![1]).expect("the link is open");
    pair.send(B, 1, vec![2]).expect("the link is open");
    pair.until("frames arrive still", |p| {
        p.frames(A, 1).len() == 4 && p.frames(B, 1).len() == 4
    })
    .await;
    pair.restart(A, 77);
    assert!(
        pair.closed(A, 1).is_none() && pair.closed(B, 1).is_none(),
        "{}: closed by a restart",
        pair.case
    );
}

async fn closes<T: Transport>(mut pair: Pair<'_, T>) {
    for (n, side) in [(1, A), (2, B)] {
        pair.open(n).await;
        pair.close(side, n);
        pair.until("both ends close", |p| {
            p.closed(A, n).is_some() && p.closed(B, n).is_some()
        })
        .await;
        assert_eq!(
            pair.closed(side, n),
            Some(&CloseReason::Local),
            "{}: here",
            pair.case
        );
        let there = pair.closed(side.other(), n);
        assert!(
            matches!(there, Some(CloseReason::Remote | CloseReason::Failed(_))),
            "{}: the other side says {there:?}",
            pair.case
        );
        // Twice is once.
        pair.close(side, n);
        pair.close(side.other(), n);
    }
    // Anything after `Closed` would show while another link works.
    pair.open(3).await;
}

async fn closes_while_connecting<T: Transport>(mut pair: Pair<'_, T>) {
    pair.connect(1, A);
    pair.close(A, 1);
    pair.until("a link that has done nothing closes", |p| {
        p.closed(A, 1) == Some(&CloseReason::Local)
    })
    .await;

    pair.connect(2, A);
    pair.until("an offer was made", |p| p.offered(A, 2)).await;
    pair.close(A, 2);
    // The offer is with the other side already, which gives up when told.
    pair.close(B, 2);
    pair.until("a link that has offered closes", |p| {
        p.closed(A, 2) == Some(&CloseReason::Local)
    })
    .await;
    pair.until("so does the other side", |p| {
        !p.connected(B, 2) || p.closed(B, 2).is_some()
    })
    .await;
    pair.open(3).await;
}

async fn ignores_unknown_links<T: Transport>(mut pair: Pair<'_, T>) {
    for signal in [
        PeerSignal::Offer("v=0".to_owned()),
        PeerSignal::Answer("v=0".to_owned()),
        no_candidate(),
    ] {
        pair.transport(A).signal(LinkId(77), signal);
    }
    pair.transport(A).close(LinkId(77));
    // Events of link 77 are unknown to the pair, which panics on them.
    pair.open(1).await;
}

async fn survives_garbage<T: Transport>(mut pair: Pair<'_, T>) {
    let failed = |reason: Option<&CloseReason>| matches!(reason, Some(CloseReason::Failed(_)));
    for (n, sdp) in [
        (1, ""),
        (2, "さざなみ\0"),
        (3, "v=0\r\nm=application 9 UDP/DTLS/SCTP nonsense\r\n"),
    ] {
        pair.connect_one(B, n, false);
        pair.transport(B)
            .signal(Side::link(B, n), PeerSignal::Offer(sdp.to_owned()));
        pair.until("a garbage offer fails the link", |p| failed(p.closed(B, n)))
            .await;
    }
    pair.connect_one(A, 4, true);
    pair.until("an offer is made", |p| p.offered(A, 4)).await;
    pair.transport(A)
        .signal(Side::link(A, 4), PeerSignal::Answer("garbage".to_owned()));
    pair.until("a garbage answer fails the link", |p| failed(p.closed(A, 4)))
        .await;

    // An answer that nobody asked for, and candidates that fit nothing, harm nothing.
    pair.connect(5, A);
    pair.transport(A).signal(Side::link(A, 5), no_candidate());
    pair.transport(A).signal(
        Side::link(A, 5),
        PeerSignal::Candidate {
            candidate: "candidate:garbage".to_owned(),
            sdp_mid: Some("9".to_owned()),
            sdp_m_line_index: Some(9),
        },
    );
    pair.until("both ends open in spite of garbage candidates", |p| {
        p.opened(A, 5) && p.opened(B, 5)
    })
    .await;
    pair.transport(A)
        .signal(Side::link(A, 5), PeerSignal::Answer("garbage".to_owned()));
    pair.send(A, 5, vec![5]).expect("the link is open");
    pair.until("the link still works", |p| p.frames(B, 5) == [[5]])
        .await;
}

async fn keeps_links_apart<T: Transport>(mut pair: Pair<'_, T>) {
    const LINKS: u64 = 6;
    for n in 1..=LINKS {
        pair.connect(n, if n % 2 == 0 { A } else { B });
    }
    pair.until("all open", |p| {
        (1..=LINKS).all(|n| p.opened(A, n) && p.opened(B, n))
    })
    .await;
    pair.close(A, 1);
    for n in 2..=LINKS {
        pair.send(A, n, fill(n as usize, 100)).expect("the link is open");
        pair.send(B, n, fill(n as usize, 200)).expect("the link is open");
    }
    pair.until("frames arrive on their own link", |p| {
        (2..=LINKS)
            .all(|n| p.frames(B, n) == [fill(n as usize, 100)] && p.frames(A, n) == [fill(n as usize, 200)])
    })
    .await;
    pair.until("the closed one is closed", |p| {
        p.closed(A, 1).is_some() && p.closed(B, 1).is_some()
    })
    .await;
    assert!(
        (2..=LINKS).all(|n| pair.closed(A, n).is_none()),
        "{}: others closed too",
        pair.case
    );
}

fn no_candidate() -> PeerSignal {
    PeerSignal::Candidate {
        candidate: String::new(),
        sdp_mid: None,
        sdp_m_line_index: None,
    }
}

/// A frame that tells its number and differs from its neighbours in every byte.
fn fill(number: usize, len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len)
        .map(|i| (number.wrapping_mul(31).wrapping_add(i) % 251) as u8)
        .collect();
    for (byte, of_number) in frame.iter_mut().zip((number as u64).to_le_bytes()) {
        *byte = of_number;
    }
    frame
}
