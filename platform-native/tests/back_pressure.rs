//! Over a real data channel a receiver that does not read stops the sender: what has been taken of it stays bounded, and
//! nothing is lost once the receiver reads on.

use std::future::poll_fn;
use std::time::Duration;

use sazanami_core::transport::{
    ConnectOptions, LinkId, MAX_FRAME, Route, SEND_BUFFER, SendError, Transport, TransportEvent,
};
use sazanami_native::transport::WebRtcTransport;
use tokio::runtime::Handle;
use tokio::time::timeout;

const LINK: LinkId = LinkId(1);
const LIMIT: Duration = Duration::from_secs(60);
/// Without an event for so long, the sender stands still.
const STILL: Duration = Duration::from_secs(2);
/// What the sender would like to send.
const ALL: usize = 64 * 1024 * 1024;
/// The sender's two buffers, SCTP's receive window of a MiB, what the `webrtc` crate keeps of a channel (256 messages
/// twice), the 256 events that may wait at the receiver, and some on their way.
const BOUND: usize = 2 * SEND_BUFFER + 1024 * 1024 + (512 + 256) * MAX_FRAME + 2 * SEND_BUFFER;

async fn next(transport: &mut WebRtcTransport) -> TransportEvent {
    poll_fn(|cx| transport.poll_event(cx)).await
}

/// Sends until the buffer is full.
fn fill(transport: &mut WebRtcTransport, sent: &mut usize) {
    while *sent < ALL {
        let mut frame = vec![0; MAX_FRAME];
        frame[..8].copy_from_slice(&(*sent as u64).to_le_bytes());
        match transport.send(LINK, frame) {
            Ok(()) => *sent += MAX_FRAME,
            Err(SendError::Full) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_read_stops_the_sender() {
    let [mut sender, mut receiver] = [(); 2].map(|()| WebRtcTransport::new(Handle::current()));
    for (transport, polite) in [(&mut sender, false), (&mut receiver, true)] {
        let options = ConnectOptions {
            by_hand: false,
            polite,
            offer: !polite,
            route: Route::Any,
            ice_servers: Vec::new(),
        };
        transport.connect(LINK, options);
    }
    let opens = async {
        let mut open = 0;
        while open < 2 {
            let (other, event) = tokio::select! {
                event = next(&mut sender) => (&mut receiver, event),
                event = next(&mut receiver) => (&mut sender, event),
            };
            match event {
                TransportEvent::Signal { signal, .. } => other.signal(LINK, signal),
                TransportEvent::Opened { .. } => open += 1,
                TransportEvent::Closed { reason, .. } => panic!("{reason:?}"),
                _ => {}
            }
        }
    };
    timeout(LIMIT, opens).await.expect("both ends open");

    let mut sent = 0;
    let stands_still = async {
        fill(&mut sender, &mut sent);
        while let Ok(event) = timeout(STILL, next(&mut sender)).await {
            match event {
                TransportEvent::Drained { .. } => fill(&mut sender, &mut sent),
                TransportEvent::Closed { reason, .. } => panic!("{reason:?}"),
                _ => {}
            }
        }
    };
    timeout(LIMIT, stands_still)
        .await
        .expect("the sender stands still");
    println!("the sender stands still after {} KiB", sent / 1024);
    assert!(sent > SEND_BUFFER, "it has sent {sent} bytes only");
    assert!(
        sent <= BOUND,
        "it has sent {sent} bytes to a receiver that does not read"
    );

    let goes_on = async {
        let (goal, mut read) = (sent + 8 * 1024 * 1024, 0);
        while read < goal {
            tokio::select! {
                event = next(&mut sender) => if let TransportEvent::Drained { .. } = event {
                    fill(&mut sender, &mut sent);
                },
                event = next(&mut receiver) => match event {
                    TransportEvent::Frame { frame, .. } => {
                        assert_eq!(frame[..8], (read as u64).to_le_bytes(), "lost or out of order");
                        read += frame.len();
                    }
                    TransportEvent::Closed { reason, .. } => panic!("{reason:?}"),
                    _ => {}
                },
            }
        }
    };
    timeout(LIMIT, goes_on)
        .await
        .expect("it goes on where it stopped");
    for transport in [sender, receiver] {
        transport.shutdown(Duration::from_secs(5)).await;
    }
}
