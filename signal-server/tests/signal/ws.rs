//! Signalling over a real WebSocket.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use sazanami_core::signaling::{
    ClientMessage, ErrorCode, MAX_MESSAGE, MAX_SAMPLE, ServerMessage, SessionId, Topic,
};
use sazanami_signal::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Peer, TestServer, until, within};

fn config(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::on_any_port();
    change(&mut config.limits);
    config
}

fn relay(to: SessionId, sealed: &str) -> ClientMessage {
    ClientMessage::Relay {
        to,
        sealed: sealed.into(),
    }
}

#[tokio::test]
async fn a_hello_over_the_challenge_is_welcome_and_challenges_differ() {
    let server = TestServer::start().await;
    let mut peer = Peer::connect(&server).await;
    let challenge = peer.challenge().await;
    peer.hello(&challenge).await;
    assert_eq!(
        peer.receive().await,
        ServerMessage::Welcome { servers: Vec::new() }
    );
    let other = Peer::connect(&server).await.challenge().await;
    assert!(challenge.len() >= 32 && challenge != other);
}

#[tokio::test]
async fn a_wrong_proof_is_told_and_closed() {
    let server = TestServer::start().await;
    let mut peer = Peer::connect(&server).await;
    peer.challenge().await;
    peer.hello("guessed").await;
    assert_eq!(peer.error().await, ErrorCode::Proof);
    assert_eq!(peer.close_code().await, 1008);
}

#[tokio::test]
async fn a_message_before_the_hello_is_refused_and_the_hello_still_works() {
    let server = TestServer::start().await;
    let mut peer = Peer::connect(&server).await;
    let challenge = peer.challenge().await;
    peer.say(&ClientMessage::Join {
        topic: Topic::lobby(),
    })
    .await;
    assert_eq!(peer.error().await, ErrorCode::NotWelcome);
    peer.hello(&challenge).await;
    assert_eq!(
        peer.receive().await,
        ServerMessage::Welcome { servers: Vec::new() }
    );
}

#[tokio::test]
async fn a_join_is_answered_by_a_bounded_random_sample_without_oneself() {
    let server = TestServer::start().await;
    let mut peers = join_all((0..40).map(|_| Peer::welcomed(&server))).await;
    let topic = Topic::derive(b"room");
    for peer in &mut peers {
        peer.say(&ClientMessage::Join { topic: topic.clone() }).await;
        assert!(matches!(peer.receive().await, ServerMessage::Members { .. }));
    }
    let all: BTreeSet<_> = peers.iter().map(Peer::session).collect();
    let asker = &mut peers[0];
    let mut samples = BTreeSet::new();
    for _ in 0..10 {
        asker.say(&ClientMessage::Join { topic: topic.clone() }).await;
        let ServerMessage::Members { peers, .. } = asker.receive().await else {
            panic!()
        };
        let sample: BTreeSet<_> = peers.iter().copied().collect();
        assert_eq!((peers.len(), sample.len()), (MAX_SAMPLE, MAX_SAMPLE));
        assert!(sample.is_subset(&all) && !sample.contains(&asker.session()));
        samples.insert(sample);
    }
    // 10 draws of 16 out of 39 are all the same with a chance below 10^-80.
    assert!(samples.len() > 1);
    asker
        .say(&ClientMessage::Join {
            topic: Topic::derive(b"another room"),
        })
        .await;
    let ServerMessage::Members { peers, .. } = asker.receive().await else {
        panic!()
    };
    assert_eq!(peers, []);
}

#[tokio::test]
async fn a_relay_reaches_its_receiver_alone_and_nobody_is_unreachable() {
    let server = TestServer::start().await;
    let [mut alice, mut bob, mut carol] = [
        Peer::welcomed(&server).await,
        Peer::welcomed(&server).await,
        Peer::welcomed(&server).await,
    ];
    alice.say(&relay(bob.session(), "sealed")).await;
    let relayed = ServerMessage::Relayed {
        from: alice.session(),
        sealed: "sealed".into(),
    };
    assert_eq!(bob.receive().await, relayed);
    carol.is_served().await;

    let to = bob.session();
    drop(bob);
    until("bob's end", || server.hub.connections() == 2).await;
    alice.say(&relay(to, "x")).await;
    assert_eq!(alice.receive().await, ServerMessage::Unreachable { to });
}

#[tokio::test]
async fn garbage_is_answered_and_costs_only_its_sender() {
    let server = TestServer::start().await;
    let mut honest = Peer::welcomed(&server).await;
    let mut hostile = Peer::connect(&server).await;
    hostile.challenge().await;
    for message in [
        Message::text("{"),
        Message::text(r#"{"type":"dance"}"#),
        Message::binary(vec![0; 100]),
    ] {
        hostile.send(message).await;
        assert_eq!(hostile.error().await, ErrorCode::Malformed);
    }
    for _ in 0..30 {
        // The server may already have closed.
        let _ = futures::SinkExt::send(&mut hostile.socket, Message::text("garbage")).await;
    }
    assert_eq!(hostile.close_code().await, 1008);
    honest.is_served().await;
}

#[tokio::test]
async fn a_large_message_is_told_so_and_a_huge_one_ends_the_connection() {
    let server = TestServer::start().await;
    let mut honest = Peer::welcomed(&server).await;
    for size in [MAX_MESSAGE + 1, 2 * MAX_MESSAGE + 1] {
        let mut peer = Peer::welcomed(&server).await;
        peer.send(Message::text("x".repeat(size))).await;
        assert_eq!(peer.error().await, ErrorCode::TooLarge, "{size}");
        assert_eq!(peer.close_code().await, 1009);
    }
    let mut huge = Peer::welcomed(&server).await;
    let _ = futures::SinkExt::send(&mut huge.socket, Message::text("x".repeat(10 * 1024 * 1024))).await;
    while huge.next().await.is_some() {}
    until("only the honest one left", || server.hub.connections() == 1).await;
    honest.is_served().await;
}

#[tokio::test]
async fn what_is_not_websocket_ends_only_its_own_connection() {
    let server = TestServer::start().await;
    let mut honest = Peer::welcomed(&server).await;
    let mut raw = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    raw.write_all(upgrade.as_bytes()).await.unwrap();
    // Reserved bits, an unmasked frame, a length that never comes.
    raw.write_all(&[0xFF; 64]).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("the end of a broken connection", raw.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    until("only the honest one left", || server.hub.connections() == 1).await;
    honest.is_served().await;
}

#[tokio::test]
async fn a_flood_is_limited_and_others_are_served() {
    let server = TestServer::start().await;
    let mut honest = Peer::welcomed(&server).await;
    let mut flooder = Peer::welcomed(&server).await;
    let ping = Message::text(r#"{"type":"ping"}"#);
    for _ in 0..5_000 {
        if futures::SinkExt::feed(&mut flooder.socket, ping.clone())
            .await
            .is_err()
        {
            break;
        }
    }
    let _ = futures::SinkExt::flush(&mut flooder.socket).await;
    let mut limited = false;
    while let Some(message) = flooder.next().await {
        match message {
            Message::Text(text) => limited |= text.contains("rate_limited"),
            Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1008),
            _ => {}
        }
    }
    assert!(limited);
    honest.is_served().await;
}

#[tokio::test]
async fn the_newer_connection_of_a_session_replaces_the_older() {
    let server = TestServer::start().await;
    let mut older = Peer::welcomed(&server).await;
    let mut newer = Peer::welcomed_as(&server, older.keys.clone()).await;
    assert_eq!(older.close_code().await, 4001);
    let mut other = Peer::welcomed(&server).await;
    other.say(&relay(newer.session(), "x")).await;
    assert!(matches!(newer.receive().await, ServerMessage::Relayed { .. }));
}

#[tokio::test]
async fn a_slow_reader_is_dropped() {
    let server = TestServer::with(config(|limits| {
        limits.messages = sazanami_signal::Rate::new(1e9, 1e9);
        limits.bytes = sazanami_signal::Rate::new(1e12, 1e12);
        limits.queue_messages = 20;
    }))
    .await;
    let mut sender = Peer::welcomed(&server).await;
    // It reads nothing from here on: first the sockets' buffers fill, then its queue.
    let slow = Peer::welcomed(&server).await;
    let large = "x".repeat(MAX_MESSAGE - 200);
    let mut sent = 0;
    while server.hub.connections() == 2 {
        sender.say(&relay(slow.session(), &large)).await;
        // Takes turns with the server, which would otherwise see a fast reader as slow.
        sender.say(&ClientMessage::Ping).await;
        while sender.receive().await != ServerMessage::Pong {}
        sent += 1;
        assert!(sent < 5_000, "still there after 160 MB");
    }
    sender.say(&relay(slow.session(), "x")).await;
    assert_eq!(
        sender.receive().await,
        ServerMessage::Unreachable { to: slow.session() }
    );
}

#[tokio::test]
async fn who_says_no_hello_or_stays_silent_is_closed() {
    let server = TestServer::with(config(|limits| {
        limits.hello_timeout = Duration::from_millis(50);
        limits.idle_timeout = Duration::from_millis(400);
    }))
    .await;
    assert_eq!(Peer::connect(&server).await.close_code().await, 4002);
    let mut idle = Peer::welcomed(&server).await;
    assert_eq!(idle.close_code().await, 4003);
    until("everybody's end", || server.hub.connections() == 0).await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = TestServer::with(config(|limits| limits.connections_per_address = 2)).await;
    let mut first = Peer::welcomed(&server).await;
    let _second = Peer::welcomed(&server).await;
    let mut third = Peer::connect(&server).await;
    assert_eq!(third.error().await, ErrorCode::TooManyConnections);
    assert_eq!(third.close_code().await, 1013);
    first.is_served().await;
}

#[tokio::test]
async fn behind_a_proxy_the_forwarded_address_counts() {
    let limited = config(|limits| limits.connections_per_address = 1);
    let server = TestServer::with(Config {
        behind_proxy: true,
        ..limited
    })
    .await;
    let from = async |address: &str| {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}/ws", server.address)
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("x-forwarded-for", address.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Peer {
            socket,
            keys: sazanami_core::Keys::generate(),
        }
    };
    let mut first = from("198.51.100.7, 192.0.2.1").await;
    first.challenge().await;
    from("192.0.2.2").await.challenge().await;
    assert_eq!(
        from("192.0.2.1").await.error().await,
        ErrorCode::TooManyConnections
    );
}
