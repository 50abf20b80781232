//! A server that stops.

use std::time::Duration;

use sazanami_core::signaling::{ClientMessage, ServerMessage};
use sazanami_signal::Config;
use tokio_tungstenite::tungstenite;

use crate::harness::{Peer, TestServer, until, within};

#[tokio::test]
async fn stopping_says_goodbye_and_frees_the_ports() {
    let mut server = TestServer::start().await;
    let mut peer = Peer::welcomed(&server).await;
    let mut no_hello = Peer::connect(&server).await;
    let idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    until("all three", || server.hub.connections() == 2).await;
    let (stopped, code) = tokio::join!(server.stop(), peer.close_code());
    assert_eq!(((), 1001), (stopped, code));
    assert_eq!(no_hello.close_code().await, 1001);
    assert_eq!(server.hub.connections(), 0);
    drop(idle);
    tokio::net::TcpListener::bind(server.address).await.unwrap();
    within("the TURN port", async {
        while tokio::net::UdpSocket::bind(server.turn.unwrap()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_are_sent_away_little_by_little_and_nobody_new_is_let_in() {
    // 150 at 50 every 100 ms at least: so slow a drain that the test sees it in the middle.
    let mut server = TestServer::with(Config {
        drain_time: Duration::from_secs(300),
        ..Config::on_any_port()
    })
    .await;
    let mut peers = Vec::new();
    for _ in 0..150 {
        peers.push(Peer::connect(&server).await);
    }
    until("all of them", || server.hub.connections() == 150).await;
    server.begin_to_stop();
    until("the first to go", || server.hub.connections() < 150).await;
    assert!(server.hub.connections() >= 50, "not all at once");
    let ready = server.get("/readyz").await;
    assert_eq!(
        (ready.status().as_u16(), &*ready.text().await.unwrap()),
        (503, "draining\n")
    );
    let url = format!("ws://{}/ws", server.address);
    match tokio_tungstenite::connect_async(url).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 503),
        other => panic!("let in: {other:?}"),
    }
    for peer in &mut peers {
        assert_eq!(peer.close_code().await, 1001);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_drain_time_ends_it_and_until_then_all_goes_on() {
    let mut server = TestServer::with(Config {
        drain_time: Duration::from_millis(150),
        ..Config::on_any_port()
    })
    .await;
    let mut peers = Vec::new();
    for _ in 0..200 {
        peers.push(Peer::welcomed(&server).await);
    }
    let [first, second] = &mut peers[..2] else {
        unreachable!()
    };
    first
        .say(&ClientMessage::Relay {
            to: second.session(),
            sealed: "before the end".into(),
        })
        .await;
    assert!(matches!(second.receive().await, ServerMessage::Relayed { .. }));
    server.stop().await;
    assert_eq!(server.hub.connections(), 0);
}
