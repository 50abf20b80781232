//! With `RelayOnly` links go through a real TURN server, and nothing that is signalled tells this machine's address.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{ConnectOptions, LinkId, Path, PathKind, Route, Transport, TransportEvent};
use sazanami_native::transport::WebRtcTransport;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use turn::auth::{AuthHandler, generate_auth_key};
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use webrtc_util::vnet::net::Net;

const LIMIT: Duration = Duration::from_secs(60);
const REALM: &str = "sazanami";

struct OneUser;

impl AuthHandler for OneUser {
    fn auth_handle(&self, username: &str, _: &str, _: SocketAddr) -> Result<Vec<u8>, turn::Error> {
        Ok(generate_auth_key(username, REALM, "secret"))
    }
}

async fn turn_server() -> (Server, IceServer) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let relay = RelayAddressGeneratorStatic {
        relay_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        address: "127.0.0.1".to_owned(),
        net: Arc::new(Net::new(None)),
    };
    let server = Server::new(ServerConfig {
        conn_configs: vec![ConnConfig {
            conn: Arc::new(socket),
            relay_addr_generator: Box::new(relay),
        }],
        realm: REALM.to_owned(),
        auth_handler: Arc::new(OneUser),
        channel_bind_timeout: Duration::ZERO,
        alloc_close_notify: None,
    });
    let ice = IceServer {
        urls: vec![
            format!("stun:127.0.0.1:{port}"),
            format!("turn:127.0.0.1:{port}?transport=udp"),
        ],
        username: Some("user".to_owned()),
        credential: Some("secret".to_owned()),
    };
    (server.await.unwrap(), ice)
}

/// Everything in a signal that could tell an address must be a relay's.
fn check_private(signal: &PeerSignal) {
    let (PeerSignal::Offer(text) | PeerSignal::Answer(text) | PeerSignal::Candidate { candidate: text, .. }) =
        signal;
    for line in text.lines().filter(|line| line.contains("candidate:")) {
        assert!(line.contains(" typ relay"), "not a relay's: {line}");
        assert!(
            !line.contains("raddr") || line.contains("raddr 0.0.0.0 rport 9"),
            "tells where it is: {line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relayed_links_hide_the_address() {
    let (server, ice) = turn_server().await;
    let options = |polite| ConnectOptions {
        by_hand: false,
        polite,
        offer: !polite,
        route: Route::RelayOnly,
        ice_servers: vec![ice.clone()],
    };
    let link = LinkId(1);
    let mut sides = [
        WebRtcTransport::new(Handle::current()),
        WebRtcTransport::new(Handle::current()),
    ];
    for (side, polite) in sides.iter_mut().zip([true, false]) {
        side.connect(link, options(polite));
    }
    let (mut paths, mut got): ([Option<Path>; 2], [bool; 2]) = ([None; 2], [false; 2]);
    let work = async {
        while paths.contains(&None) || got != [true, true] {
            let (at, event) = poll_fn(|cx| {
                let polled = sides.iter_mut().map(|side| side.poll_event(cx)).enumerate();
                for (at, poll) in polled {
                    if let std::task::Poll::Ready(event) = poll {
                        return std::task::Poll::Ready((at, event));
                    }
                }
                std::task::Poll::Pending
            })
            .await;
            match event {
                TransportEvent::Signal { signal, .. } => {
                    check_private(&signal);
                    sides[1 - at].signal(link, signal);
                }
                TransportEvent::Opened { .. } => sides[at].send(link, b"ripple".to_vec()).unwrap(),
                TransportEvent::Frame { frame, .. } => {
                    assert_eq!(frame, b"ripple");
                    got[at] = true;
                }
                TransportEvent::Path { path, .. } => paths[at] = Some(path),
                TransportEvent::Drained { .. } | TransportEvent::Ice { .. } => {}
                TransportEvent::Closed { reason, .. } => panic!("closed: {reason:?}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, work)
        .await
        .expect("links through TURN open in time");
    for path in paths {
        assert_eq!(path.map(|path| path.kind), Some(PathKind::Relayed));
    }
    for side in sides {
        side.shutdown(Duration::from_secs(5)).await;
    }
    server.close().await.unwrap();
}
