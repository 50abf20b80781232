use std::net::IpAddr;

use proptest::prelude::*;
use sazanami_core::Keys;
use sazanami_core::signaling::{ClientMessage, ErrorCode, MAX_MESSAGE, hello_proof};

use super::*;
use crate::connection::{Connection, Frame};
use crate::outbox::Next;

const NOW: Millis = Millis(1_700_000_000_000);

fn limits() -> Limits {
    Limits::for_listener(IpAddr::from([127, 0, 0, 1]))
}

fn hub(limits: Limits) -> Arc<Hub> {
    Arc::new(Hub::new(limits, [7; 32]))
}

struct Peer {
    connection: Connection,
    keys: Keys,
}

impl Peer {
    fn open(hub: &Arc<Hub>) -> Self {
        let mut peer = Self {
            connection: connect(hub).unwrap(),
            keys: Keys::generate(),
        };
        assert_eq!(
            peer.received(),
            [ServerMessage::Challenge {
                challenge: "abc".into(),
                now: Some(NOW),
            }]
        );
        peer
    }

    fn welcomed(hub: &Arc<Hub>) -> Self {
        let mut peer = Self::open(hub);
        peer.hello();
        assert_eq!(peer.received(), [ServerMessage::Welcome { servers: Vec::new() }]);
        peer
    }

    fn hello(&mut self) {
        let proof = hello_proof(&self.keys, "abc", NOW);
        self.say(&ClientMessage::Hello {
            version: 1,
            proof: Box::new(proof),
        });
    }

    fn session(&self) -> SessionId {
        SessionId(self.keys.public_key())
    }

    fn say(&mut self, message: &ClientMessage) {
        self.text(&serde_json::to_string(message).unwrap());
    }

    fn text(&mut self, text: &str) {
        self.connection.handle(Frame::Text(text), NOW);
    }

    fn received(&mut self) -> Vec<ServerMessage> {
        std::iter::from_fn(|| match self.connection.outbox().try_next() {
            Some(Next::Message(text)) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        })
        .collect()
    }

    fn errors(&mut self) -> Vec<ErrorCode> {
        let code = |message| match message {
            ServerMessage::Error { code, .. } => code,
            other => panic!("not an error: {other:?}"),
        };
        self.received().into_iter().map(code).collect()
    }

    fn closed(&self) -> Option<CloseReason> {
        self.connection.outbox().closed()
    }
}

fn connect(hub: &Arc<Hub>) -> Result<Connection, CloseReason> {
    Connection::open(
        Arc::clone(hub),
        IpAddr::from([127, 0, 0, 1]).into(),
        "abc".into(),
        NOW,
    )
}

fn relay(to: SessionId, sealed: &str) -> ClientMessage {
    ClientMessage::Relay {
        to,
        sealed: sealed.into(),
    }
}

#[test]
fn a_relay_reaches_its_receiver_alone() {
    let hub = hub(limits());
    let [mut alice, mut bob, mut carol] = [(); 3].map(|()| Peer::welcomed(&hub));
    alice.say(&relay(bob.session(), "sealed"));
    let relayed = ServerMessage::Relayed {
        from: alice.session(),
        sealed: "sealed".into(),
    };
    assert_eq!(bob.received(), [relayed]);
    assert_eq!(alice.received(), []);
    assert_eq!(carol.received(), []);
}

#[test]
fn who_is_gone_or_never_came_is_unreachable() {
    let hub = hub(limits());
    let mut alice = Peer::welcomed(&hub);
    let bob = Peer::welcomed(&hub);
    let to = bob.session();
    drop(bob);
    alice.say(&relay(to, "x"));
    assert_eq!(alice.received(), [ServerMessage::Unreachable { to }]);
    let not_welcome = Peer::open(&hub);
    alice.say(&relay(not_welcome.session(), "x"));
    assert_eq!(
        alice.received(),
        [ServerMessage::Unreachable {
            to: not_welcome.session()
        }]
    );
}

#[test]
fn nothing_but_pings_before_the_hello() {
    let hub = hub(limits());
    let mut peer = Peer::open(&hub);
    peer.say(&ClientMessage::Join {
        topic: Topic::lobby(),
    });
    peer.say(&ClientMessage::Leave {
        topic: Topic::lobby(),
    });
    peer.say(&relay(SessionId(Keys::generate().public_key()), "x"));
    assert_eq!(peer.errors(), [ErrorCode::NotWelcome; 3]);
    assert_eq!(hub.topics(), 0);
    peer.say(&ClientMessage::Ping);
    assert_eq!(peer.received(), [ServerMessage::Pong]);
}

#[test]
fn a_hello_that_does_not_hold_ends_the_connection() {
    let hub = hub(limits());
    let mut peer = Peer::open(&hub);
    let proof = Box::new(hello_proof(&peer.keys, "another challenge", NOW));
    peer.say(&ClientMessage::Hello { version: 1, proof });
    assert_eq!(peer.errors(), [ErrorCode::Proof]);
    assert_eq!(peer.closed(), Some(CloseReason::Refused));
    peer.hello();
    assert_eq!(peer.received(), [], "nothing after the end");
}

#[test]
fn another_version_is_told_so_even_when_its_hello_looks_different() {
    let hub = hub(limits());
    for text in [
        r#"{"type":"hello","version":2,"certificate":"x"}"#,
        r#"{"type":"hello","version":0}"#,
    ] {
        let mut peer = Peer::open(&hub);
        peer.text(text);
        assert_eq!(peer.errors(), [ErrorCode::Version]);
        assert_eq!(peer.closed(), Some(CloseReason::Refused));
    }
}

#[test]
fn topics_are_counted_and_forgotten() {
    let hub = hub(Limits {
        topics: 3,
        ..limits()
    });
    let mut peer = Peer::welcomed(&hub);
    let topic = |n: u8| Topic::derive(&[n]);
    for n in [0, 1, 2, 2] {
        peer.say(&ClientMessage::Join { topic: topic(n) });
    }
    assert_eq!(peer.received().len(), 4, "joining again asks for a new sample");
    peer.say(&ClientMessage::Join { topic: topic(3) });
    assert_eq!(peer.errors(), [ErrorCode::TooManyTopics]);
    peer.say(&ClientMessage::Leave { topic: topic(0) });
    peer.say(&ClientMessage::Join { topic: topic(3) });
    assert_eq!(
        peer.received(),
        [ServerMessage::Members {
            topic: topic(3),
            peers: vec![]
        }]
    );
    assert_eq!(hub.topics(), 3);
    drop(peer);
    assert_eq!((hub.topics(), hub.connections()), (0, 0), "nothing stays behind");
}

#[test]
fn the_newer_connection_of_a_session_replaces_the_older() {
    let hub = hub(limits());
    let mut older = Peer::welcomed(&hub);
    older.say(&ClientMessage::Join {
        topic: Topic::lobby(),
    });
    older.received();
    let mut newer = Peer {
        keys: older.keys.clone(),
        ..Peer::open(&hub)
    };
    newer.hello();
    assert_eq!(newer.received(), [ServerMessage::Welcome { servers: Vec::new() }]);
    assert_eq!(older.closed(), Some(CloseReason::Replaced));

    let mut other = Peer::welcomed(&hub);
    other.say(&ClientMessage::Join {
        topic: Topic::lobby(),
    });
    assert_eq!(
        other.received(),
        [ServerMessage::Members {
            topic: Topic::lobby(),
            peers: vec![]
        }]
    );
    drop(older);
    other.say(&relay(newer.session(), "x"));
    assert_eq!(
        newer.received().len(),
        1,
        "the end of the older one does not touch the newer"
    );
}

#[test]
fn a_slow_reader_is_dropped_and_its_queue_with_it() {
    let hub = hub(Limits {
        queue_messages: 5,
        ..limits()
    });
    let mut alice = Peer::welcomed(&hub);
    let slow = Peer::welcomed(&hub);
    for _ in 0..5 {
        alice.say(&relay(slow.session(), "x"));
    }
    assert_eq!(slow.closed(), None);
    alice.say(&relay(slow.session(), "x"));
    assert_eq!(
        slow.connection.outbox().try_next(),
        Some(Next::Close(CloseReason::SlowReader))
    );
    alice.say(&relay(slow.session(), "x"));
    assert_eq!(
        alice.received(),
        [ServerMessage::Unreachable { to: slow.session() }]
    );
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let hub = hub(Limits {
        queue_bytes: 2 * MAX_MESSAGE,
        ..limits()
    });
    let mut alice = Peer::welcomed(&hub);
    let slow = Peer::welcomed(&hub);
    let large = "x".repeat(MAX_MESSAGE - 200);
    for closed in [None, None, Some(CloseReason::SlowReader)] {
        alice.say(&relay(slow.session(), &large));
        assert_eq!(slow.closed(), closed);
    }
}

#[test]
fn garbage_is_answered_until_patience_ends() {
    let hub = hub(limits());
    let mut peer = Peer::welcomed(&hub);
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"type":"dance"}"#,
        r#"{"type":"join"}"#,
        "\u{0}",
    ] {
        peer.text(text);
        assert_eq!(peer.errors(), [ErrorCode::Malformed], "{text:?}");
    }
    peer.connection.handle(Frame::Binary(3), NOW);
    peer.hello();
    assert_eq!(peer.errors(), [ErrorCode::Malformed; 2]);
    assert_eq!(peer.closed(), None);
    for _ in 0..20 {
        peer.text("garbage");
    }
    assert_eq!(peer.errors().len(), 11, "20 in all");
    assert_eq!(peer.closed(), Some(CloseReason::Abuse));
}

#[test]
fn a_flood_costs_one_error_a_second_and_then_the_connection() {
    let hub = hub(limits());
    let mut peer = Peer::welcomed(&hub);
    let mut pongs = 0;
    let mut errors = 0;
    for _ in 0..450 {
        peer.say(&ClientMessage::Ping);
        for message in peer.received() {
            match message {
                ServerMessage::Pong => pongs += 1,
                ServerMessage::Error {
                    code: ErrorCode::RateLimited,
                    ..
                } => errors += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    // The hello took one of the burst.
    assert_eq!((pongs, errors, peer.closed()), (399, 1, None));
    let later = NOW + std::time::Duration::from_secs(2);
    peer.connection.handle(Frame::Text(r#"{"type":"ping"}"#), later);
    assert_eq!(peer.received(), [ServerMessage::Pong], "it comes back");
    for _ in 0..300 {
        peer.connection.handle(Frame::Control(0), later);
    }
    assert_eq!(peer.closed(), Some(CloseReason::Abuse));
}

#[test]
fn bytes_are_limited_apart_from_messages() {
    let hub = hub(limits());
    let mut peer = Peer::welcomed(&hub);
    let to = SessionId(Keys::generate().public_key());
    let large = "x".repeat(MAX_MESSAGE - 200);
    for _ in 0..40 {
        peer.say(&relay(to, &large));
    }
    let received = peer.received();
    assert!(received.len() < 35, "{}", received.len());
    assert!(matches!(
        received.last(),
        Some(ServerMessage::Error {
            code: ErrorCode::RateLimited,
            ..
        })
    ));
}

#[test]
fn a_message_too_large_ends_the_connection() {
    let hub = hub(limits());
    let largest = format!("{:<1$}", r#"{"type":"ping"}"#, MAX_MESSAGE);
    let mut peer = Peer::welcomed(&hub);
    peer.text(&largest);
    assert_eq!(peer.received(), [ServerMessage::Pong]);
    peer.text(&(largest + " "));
    assert_eq!(peer.errors(), [ErrorCode::TooLarge]);
    assert_eq!(peer.closed(), Some(CloseReason::TooLarge));
}

#[test]
fn who_says_no_hello_or_nothing_at_all_is_closed() {
    let hub = hub(limits());
    let after = |millis| Millis(NOW.0 + millis);
    let mut silent = Peer::open(&hub);
    silent.connection.handle(Frame::Control(0), after(9_000));
    silent.connection.timeout(after(9_999));
    assert_eq!(
        (silent.closed(), silent.connection.deadline()),
        (None, after(10_000))
    );
    silent.connection.timeout(after(10_000));
    assert_eq!(silent.closed(), Some(CloseReason::NoHello));

    let mut idle = Peer::welcomed(&hub);
    idle.connection.handle(Frame::Control(0), after(60_000));
    idle.connection.timeout(after(149_999));
    assert_eq!(idle.closed(), None);
    idle.connection.timeout(after(150_000));
    assert_eq!(idle.closed(), Some(CloseReason::Idle));
}

#[test]
fn connections_are_limited_per_address_and_in_all() {
    let hub = hub(Limits {
        connections: 3,
        connections_per_address: 2,
        ..limits()
    });
    let from = |last: u8| {
        Connection::open(
            Arc::clone(&hub),
            IpAddr::from([192, 0, 2, last]).into(),
            "abc".into(),
            NOW,
        )
    };
    let first = from(1).unwrap();
    let _second = from(1).unwrap();
    assert_eq!(from(1).err(), Some(CloseReason::Full));
    let _third = from(2).unwrap();
    assert_eq!(from(3).err(), Some(CloseReason::Full));
    drop(first);
    assert!(from(1).is_ok());
}

#[test]
fn loopback_takes_a_thousand_idle_connections() {
    let hub = hub(limits());
    let peers: Vec<_> = (0..1_100).map(|_| connect(&hub).unwrap()).collect();
    assert_eq!(hub.connections(), peers.len());
}

#[test]
fn hellos_are_limited_per_address() {
    let hub = hub(Limits {
        hellos_per_address: crate::bucket::Rate::new(2.0, 1.0),
        ..limits()
    });
    let _two = [(); 2].map(|()| Peer::welcomed(&hub));
    let mut third = Peer::open(&hub);
    third.hello();
    assert_eq!(third.errors(), [ErrorCode::RateLimited]);
    assert_eq!(third.closed(), Some(CloseReason::Refused));
}

#[test]
fn a_stopped_hub_ends_all_and_takes_none() {
    let hub = hub(limits());
    let peer = Peer::welcomed(&hub);
    hub.stop();
    assert_eq!(peer.closed(), Some(CloseReason::Shutdown));
    assert_eq!(connect(&hub).err(), Some(CloseReason::Shutdown));
}

/// A frame as an attacker would make it: noise, or a valid message with bytes changed, or valid ones in any order.
fn hostile_frame() -> impl Strategy<Value = Vec<u8>> {
    let keys = Keys::generate();
    let session = SessionId(keys.public_key());
    let valid = prop::sample::select(vec![
        ClientMessage::Hello {
            version: 1,
            proof: Box::new(hello_proof(&keys, "abc", NOW)),
        },
        ClientMessage::Join {
            topic: Topic::lobby(),
        },
        ClientMessage::Leave {
            topic: Topic::lobby(),
        },
        ClientMessage::Relay {
            to: session,
            sealed: "sealed".into(),
        },
        ClientMessage::Ping,
    ])
    .prop_map(|message| serde_json::to_vec(&message).unwrap());
    let changed = (
        valid.clone(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    )
        .prop_map(|(mut bytes, changes)| {
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        });
    let cut = (valid.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, end)| {
        bytes.truncate(end.index(bytes.len()));
        bytes
    });
    prop_oneof![3 => valid, 3 => changed, 1 => cut, 2 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_of_frames_breaks_the_hub(
        frames in prop::collection::vec((0..3_usize, hostile_frame(), 0..20_000_u64), 1..60),
    ) {
        let hub = hub(limits());
        let mut honest = Peer::welcomed(&hub);
        let mut hostile = [(); 3].map(|()| connect(&hub).unwrap());
        let mut now = NOW;
        for (who, bytes, passes) in &frames {
            now = Millis(now.0 + passes);
            match std::str::from_utf8(bytes) {
                Ok(text) => hostile[*who].handle(Frame::Text(text), now),
                Err(_) => hostile[*who].handle(Frame::Binary(bytes.len()), now),
            }
            hostile[*who].timeout(now);
        }
        honest.say(&ClientMessage::Ping);
        prop_assert_eq!(honest.received().pop(), Some(ServerMessage::Pong));
        drop(hostile);
        prop_assert_eq!((hub.connections(), hub.topics()), (1, 0));
    }
}
