//! What a connection begins with: the upgrade to a WebSocket, or a request for the information document (NIP-11).

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sazanami_core::relay::{MAX_MESSAGE, information};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How long the headers of a request may take, and the whole exchange.
const LIMIT: Duration = Duration::from_secs(10);
/// Of headers; hyper takes no less.
const MAX_HEADERS: usize = 8 * 1024;
/// tungstenite reserves these for each connection, 128 KiB by default; they hold some events of a usual size.
const READ_BUFFER: usize = 16 * 1024;
const WRITE_BUFFER: usize = 16 * 1024;
/// The largest message and what is before it.
const MAX_WRITE_BUFFER: usize = 4 * MAX_MESSAGE;

/// A client's WebSocket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers one HTTP request; the socket that it becomes, if any, and where it comes from.
pub(super) async fn upgraded(stream: TcpStream, peer: IpAddr) -> Option<(Socket, IpAddr)> {
    let pending: Arc<Mutex<Option<(OnUpgrade, IpAddr)>>> = Arc::default();
    let upgrade = Arc::clone(&pending);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let response = if request.headers().contains_key(UPGRADE) {
            match create_response_with_body(&request, Full::default) {
                Ok(response) => {
                    let address = origin(peer, request.headers());
                    let waiting = (hyper::upgrade::on(&mut request), address);
                    *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
                    response
                }
                Err(error) => said(StatusCode::BAD_REQUEST, "text/plain", error.to_string()),
            }
        } else {
            page(&request)
        };
        async { Ok::<_, Infallible>(response) }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIMIT)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = timeout(LIMIT, http).await.ok()? {
        tracing::debug!(%error, "a client's request failed");
        return None;
    }
    let (upgrade, address) = pending.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let stream = timeout(LIMIT, upgrade).await.ok()?.ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, Some(config)).await;
    Some((socket, address))
}

/// The client's address: behind a proxy on this machine the last entry of `X-Forwarded-For`, which that wrote itself.
fn origin(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    match peer.is_loopback() {
        true => forwarded().unwrap_or(peer),
        false => peer,
    }
}

fn page(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if request.method() == Method::OPTIONS {
        said(StatusCode::NO_CONTENT, "text/plain", String::new())
    } else if accept.is_some_and(|accept| accept.contains("application/nostr+json")) {
        said(StatusCode::OK, "application/nostr+json", information())
    } else {
        let words = "A Sazanami peer that speaks Nostr: use a Nostr client to connect to this address.\n";
        said(StatusCode::OK, "text/plain", words.to_owned())
    }
}

/// Any page may ask, as NIP-11 wants it.
fn said(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS,
    ] {
        headers.insert(name, HeaderValue::from_static("*"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_speaks_for_others() {
        let (here, far) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        let mut headers = HeaderMap::new();
        assert_eq!(origin(here, &headers), here);
        headers.insert(
            "x-forwarded-for",
            HeaderValue::from_static("192.0.2.9, 192.0.2.7"),
        );
        assert_eq!(origin(here, &headers), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(origin(far, &headers), far);
        headers.insert("x-forwarded-for", HeaderValue::from_static("rubbish"));
        assert_eq!(origin(here, &headers), here);
    }
}
