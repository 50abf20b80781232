//! ICE servers from Cloudflare, played by a local HTTP server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sazanami_core::signaling::IceServers;
use sazanami_signal::{Config, IceConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::TestServer;

/// What the upstream was asked, and what it answers; `None`: nothing, ever.
#[derive(Clone)]
struct Upstream {
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    answer: Option<(StatusCode, String)>,
}

async fn answer(State(upstream): State<Upstream>, headers: HeaderMap, body: String) -> Response {
    let bearer = headers["authorization"].to_str().unwrap().to_owned();
    upstream
        .asked
        .lock()
        .unwrap()
        .push((bearer, serde_json::from_str(&body).unwrap()));
    match upstream.answer {
        Some(answer) => answer.into_response(),
        None => std::future::pending().await,
    }
}

async fn with_upstream(answer_with: Option<(StatusCode, String)>) -> (TestServer, Upstream) {
    let upstream = Upstream {
        asked: Arc::default(),
        answer: answer_with,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/v1/turn/keys/id/credentials/generate-ice-servers",
        listener.local_addr().unwrap()
    );
    let router = Router::new()
        .route("/v1/turn/keys/id/credentials/generate-ice-servers", post(answer))
        .with_state(upstream.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let ice = IceConfig::Cloudflare {
        request_url: Some(url),
        api_token: Some("token".into()),
        timeout: Duration::from_millis(300),
    };
    (
        TestServer::with(Config {
            ice,
            ..Config::on_any_port()
        })
        .await,
        upstream,
    )
}

#[tokio::test]
async fn an_answer_is_asked_for_once_and_comes_without_port_53() {
    let body = json!({ "iceServers": [
        { "urls": ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"] },
        {
            "urls": [
                "turn:turn.cloudflare.com:3478?transport=udp", "turn:turn.cloudflare.com:53?transport=udp",
                "turns:turn.cloudflare.com:5349?transport=tcp"
            ],
            "username": "u", "credential": "c"
        },
        { "urls": ["turn:turn.cloudflare.com:53?transport=udp"], "username": "u", "credential": "c" }
    ] });
    let (server, upstream) = with_upstream(Some((StatusCode::CREATED, body.to_string()))).await;
    for _ in 0..3 {
        let response = server.get("/turn").await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let answer: IceServers = response.json().await.unwrap();
        let urls: Vec<_> = answer
            .ice_servers
            .iter()
            .flat_map(|server| &server.urls)
            .collect();
        assert_eq!(
            urls,
            [
                "stun:stun.cloudflare.com:3478",
                "turn:turn.cloudflare.com:3478?transport=udp",
                "turns:turn.cloudflare.com:5349?transport=tcp"
            ]
        );
        assert_eq!(answer.ice_servers[1].username.as_deref(), Some("u"));
        assert!((86_000..=86_400).contains(&answer.ttl));
    }
    let asked = upstream.asked.lock().unwrap().clone();
    assert_eq!(asked, [("Bearer token".to_owned(), json!({ "ttl": 86_400 }))]);
}

#[tokio::test]
async fn the_older_answer_with_one_object_is_understood() {
    let body = json!({ "iceServers": { "urls": "turn:turn.cloudflare.com:3478", "username": "u", "credential": "c" } });
    let (server, _) = with_upstream(Some((StatusCode::OK, body.to_string()))).await;
    let answer: IceServers = server.get("/turn").await.json().await.unwrap();
    assert_eq!(answer.ice_servers[0].urls, ["turn:turn.cloudflare.com:3478"]);
}

#[tokio::test]
async fn a_failing_silent_or_strange_upstream_is_a_bad_gateway_and_is_not_asked_again_at_once() {
    let failures = [
        Some((StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned())),
        Some((StatusCode::FORBIDDEN, "{}".to_owned())),
        Some((StatusCode::OK, "<html>".to_owned())),
        Some((StatusCode::OK, "x".repeat(1_000_000))),
        None,
    ];
    for failure in failures {
        let (server, upstream) = with_upstream(failure).await;
        for _ in 0..2 {
            let response = server.get("/turn").await;
            assert_eq!(response.status(), 502);
            let problem: Value = response.json().await.unwrap();
            let words = problem["error"].as_str().unwrap();
            assert!(
                !words.is_empty() && !words.contains("token") && !words.contains("keys/id"),
                "{words}"
            );
        }
        assert_eq!(upstream.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn unset_variables_are_named() {
    let (url, token) = ("CLOUDFLARE_TURN_REQUEST_URL", "CLOUDFLARE_TURN_API_TOKEN");
    let some = || Some("x".to_owned());
    for (request_url, api_token, missing) in [
        (None, None, vec![url, token]),
        (some(), None, vec![token]),
        (None, some(), vec![url]),
    ] {
        let ice = IceConfig::Cloudflare {
            request_url,
            api_token,
            timeout: Duration::from_secs(1),
        };
        let server = TestServer::with(Config {
            ice,
            ..Config::on_any_port()
        })
        .await;
        let response = server.get("/turn").await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["missing"], json!(missing));
        assert!(problem["error"].as_str().unwrap().contains(missing[0]));
    }
}
