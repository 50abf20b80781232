//! The routes: `/ws`, `/turn`, `/healthz`, `/readyz`, and the web app; `/metrics` on a listener of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::address::{ClientAddress, forwarded, host_name};
use crate::bucket::KeyedBuckets;
use crate::config::Config;
use crate::hub::Hub;
use crate::ice::{Ice, IceError};
use crate::metrics::{Gauges, Limit};
use crate::server::Probe;
use crate::{lock, web, ws};

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) ice: Ice,
    /// The STUN/TURN server that must answer before this server is ready.
    pub(crate) probe: Option<Probe>,
    /// The host that ICE URLs carry; nothing: the one that the client used.
    pub(crate) ice_host: Option<String>,
    pub(crate) turn_requests: Mutex<KeyedBuckets<ClientAddress>>,
    pub(crate) behind_proxy: bool,
    /// Held by every WebSocket's task, so that the server knows when all have ended.
    pub(crate) alive: mpsc::WeakSender<()>,
}

/// All routes.
pub(crate) fn router(config: &Config, shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/ws", get(socket))
        .route("/turn", get(turn))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(shared)
        .merge(web::routes(config.web_root.clone()));
    web::secured(routes)
}

/// What only those who watch the server may see.
pub(crate) fn metrics_router(shared: Arc<Shared>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(shared)
}

impl Shared {
    /// Why no new clients should be sent here, if so.
    async fn unready(&self) -> Option<String> {
        if self.hub.is_draining() {
            return Some("draining".to_owned());
        }
        if self.hub.cluster_servers().is_some() && !self.hub.is_joined() {
            return Some("NATS is not connected".to_owned());
        }
        if let Err(error) = self.ice.is_configured() {
            return Some(error.to_string());
        }
        match &self.probe {
            Some(probe) if !probe.answers().await => Some("the TURN server does not answer".to_owned()),
            _ => None,
        }
    }

    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        let proxied = self.behind_proxy.then(|| forwarded(headers)).flatten();
        proxied.unwrap_or(peer.ip()).into()
    }
}

async fn socket(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match (upgrade, shared.alive.upgrade()) {
        (Ok(upgrade), Some(alive)) if !shared.hub.is_draining() => {
            let address = shared.client(peer, &headers);
            ws::accept(upgrade, Arc::clone(&shared.hub), address, alive)
        }
        // So that a proxy tries another server.
        (Ok(_), _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            "draining\n",
        )
            .into_response(),
        (Err(rejection), _) => rejection.into_response(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.unready().await {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let gauges = Gauges {
        connections: shared.hub.connections(),
        topics: shared.hub.topics(),
        cluster_servers: shared.hub.cluster_servers(),
        ready: shared.unready().await.is_none(),
    };
    let text = shared.hub.metrics().text(gauges);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// An error as JSON.
#[derive(Serialize)]
struct Problem {
    error: String,
    /// The names of the variables that are not set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
}

async fn turn(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // Credentials are for whoever asked, for now. Pages of other servers ask too: their peers use several.
    const HEADERS: [(header::HeaderName, &str); 2] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    let problem = |status: StatusCode, error: String, missing| {
        (status, HEADERS, Json(Problem { error, missing })).into_response()
    };
    let admitted = lock(&shared.turn_requests).take(shared.client(peer, &headers), ws::now());
    if !admitted {
        shared.hub.metrics().strike(Limit::TurnPerAddress);
        let words = "too many requests from this address; try again later".to_owned();
        return problem(StatusCode::TOO_MANY_REQUESTS, words, vec![]);
    }
    let asked = headers
        .get(header::HOST)
        .and_then(|host| host_name(host.to_str().ok()?));
    let Some(host) = shared.ice_host.as_deref().or(asked) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the Host header is missing or no host".to_owned(),
            vec![],
        );
    };
    match shared.ice.servers(host).await {
        Ok(servers) => (HEADERS, Json(servers)).into_response(),
        Err(error) => {
            let words = error.to_string();
            match error {
                IceError::Missing(names) => problem(StatusCode::INTERNAL_SERVER_ERROR, words, names),
                IceError::Upstream(_) => problem(StatusCode::BAD_GATEWAY, words, vec![]),
            }
        }
    }
}
