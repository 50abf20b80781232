//! The routes: `/ws`, `/turn`, `/healthz`, and the web app.

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
use crate::{lock, web, ws};

/// What the handlers share.
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) ice: Ice,
    /// The host that ICE URLs carry; nothing: the one that the client used.
    pub(crate) ice_host: Option<String>,
    pub(crate) turn_requests: Mutex<KeyedBuckets<ClientAddress>>,
    pub(crate) behind_proxy: bool,
    /// Cloned into every WebSocket's task, so that the server knows when all have ended.
    pub(crate) alive: mpsc::Sender<()>,
}

/// All routes.
pub(crate) fn router(config: &Config, shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/ws", get(socket))
        .route("/turn", get(turn))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(shared)
        .merge(web::routes(config.web_root.clone()));
    web::secured(routes)
}

impl Shared {
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
    match upgrade {
        Ok(upgrade) => {
            let address = shared.client(peer, &headers);
            ws::accept(upgrade, Arc::clone(&shared.hub), address, shared.alive.clone())
        }
        Err(rejection) => rejection.into_response(),
    }
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
    // Credentials are for whoever asked, for now.
    const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
    let problem = |status: StatusCode, error: String, missing| {
        (status, NO_STORE, Json(Problem { error, missing })).into_response()
    };
    let admitted = lock(&shared.turn_requests).take(shared.client(peer, &headers), ws::now());
    if !admitted {
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
        Ok(servers) => (NO_STORE, Json(servers)).into_response(),
        Err(error) => {
            let words = error.to_string();
            match error {
                IceError::Missing(names) => problem(StatusCode::INTERNAL_SERVER_ERROR, words, names),
                IceError::Upstream(_) => problem(StatusCode::BAD_GATEWAY, words, vec![]),
            }
        }
    }
}
