//! What those who run a server see of it.

use std::net::SocketAddr;

use sazanami_core::signaling::{ClientMessage, ErrorCode, ServerMessage, Topic};
use sazanami_signal::metrics::Limit;
use sazanami_signal::{Config, IceConfig, Limits};

use crate::harness::{Peer, TestServer, until};

fn measured() -> Config {
    Config {
        metrics_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..Config::on_any_port()
    }
}

async fn metrics(server: &TestServer) -> String {
    let url = format!("http://{}/metrics", server.metrics.unwrap());
    let response = reqwest::get(url).await.unwrap();
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    response.text().await.unwrap()
}

/// The value of a metric, with its labels if it has any.
fn value(text: &str, metric: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {metric} in {text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn what_happens_is_counted_and_nobody_is_named() {
    let mut config = measured();
    config.limits.topics = 1;
    config.limits.connections = 2;
    let server = TestServer::with(config).await;
    let mut alice = Peer::welcomed(&server).await;
    let mut bob = Peer::welcomed(&server).await;
    let relay = |to| ClientMessage::Relay {
        to,
        sealed: "12345".into(),
    };
    alice.say(&relay(bob.session())).await;
    assert!(matches!(bob.receive().await, ServerMessage::Relayed { .. }));
    let nobody = sazanami_core::signaling::SessionId(sazanami_core::Keys::generate().public_key());
    alice.say(&relay(nobody)).await;
    assert!(matches!(alice.receive().await, ServerMessage::Unreachable { .. }));
    for topic in [b"a", b"b"] {
        let topic = Topic::derive(topic);
        alice.say(&ClientMessage::Join { topic }).await;
    }
    assert!(matches!(alice.receive().await, ServerMessage::Members { .. }));
    assert_eq!(alice.error().await, ErrorCode::TooManyTopics);
    let mut third = Peer::connect(&server).await;
    assert_eq!(third.error().await, ErrorCode::TooManyConnections);

    let text = metrics(&server).await;
    for (metric, expected) in [
        ("sazanami_connections", 2),
        ("sazanami_connections_opened_total", 2),
        ("sazanami_topics", 1),
        ("sazanami_ready", 1),
        ("sazanami_relayed_messages_total", 1),
        ("sazanami_relayed_bytes_total", 5),
        ("sazanami_unreachable_total", 1),
        ("sazanami_limit_struck_total{limit=\"topics\"}", 1),
        ("sazanami_limit_struck_total{limit=\"connections\"}", 1),
        ("sazanami_limit_struck_total{limit=\"queue\"}", 0),
    ] {
        assert_eq!(value(&text, metric), expected, "{metric}");
    }
    for secret in [
        alice.session().to_string(),
        Topic::derive(b"a").as_str().to_owned(),
        "127.0.0.1".to_owned(),
    ] {
        assert!(!text.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn metrics_are_not_for_the_world() {
    let server = TestServer::with(measured()).await;
    assert_eq!(server.get("/metrics").await.status(), 404);
    assert_eq!(TestServer::start().await.metrics, None);
}

#[tokio::test]
async fn silence_is_told_before_it_ends_a_connection() {
    let mut config = Config::on_any_port();
    config.limits = Limits {
        hello_timeout: std::time::Duration::from_millis(50),
        idle_timeout: std::time::Duration::from_millis(300),
        ..config.limits
    };
    let server = TestServer::with(config).await;
    let mut idle = Peer::welcomed(&server).await;
    let mut silent = Peer::connect(&server).await;
    silent.challenge().await;
    assert_eq!(silent.error().await, ErrorCode::TimedOut);
    assert_eq!(silent.close_code().await, 4002);
    assert_eq!(idle.error().await, ErrorCode::TimedOut);
    assert_eq!(idle.close_code().await, 4003);
    let metrics = server.hub.metrics();
    assert_eq!(metrics.struck(Limit::HelloTimeout), 1);
    assert_eq!(metrics.struck(Limit::IdleTimeout), 1);
}

#[tokio::test]
async fn a_server_whose_turn_is_silent_is_not_ready() {
    let server = TestServer::start().await;
    let response = server.get("/readyz").await;
    assert_eq!(
        (response.status().as_u16(), &*response.text().await.unwrap()),
        (200, "ready\n")
    );

    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let urls = vec![format!("turn:{}", silent.local_addr().unwrap())];
    let secret = "s".to_owned();
    let server = TestServer::with(Config {
        ice: IceConfig::Coturn { secret, urls },
        ..measured()
    })
    .await;
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 503);
    assert!(response.text().await.unwrap().contains("TURN"));
    assert_eq!(value(&metrics(&server).await, "sazanami_ready"), 0);
    assert_eq!(
        server.get("/healthz").await.status(),
        200,
        "it lives all the same"
    );
}

#[tokio::test]
async fn gauges_fall_again() {
    let server = TestServer::with(measured()).await;
    drop(Peer::welcomed(&server).await);
    until("its end", || server.hub.connections() == 0).await;
    let text = metrics(&server).await;
    assert_eq!(value(&text, "sazanami_connections"), 0);
    assert_eq!(value(&text, "sazanami_connections_opened_total"), 1);
}
