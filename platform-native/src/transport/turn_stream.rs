//! TURN over TCP and TLS (RFC 8656 §3.1) for the `webrtc` crate, which speaks it over UDP only.
//!
//! To the crate such a server has an address that stands for it, on this machine's loopback. What one of its sockets
//! sends there goes onto a stream, and what the stream brings comes out of that socket ([`socket`]). No datagram is
//! sent to or taken from that address, so no other program can join in. [`stream`] is one such stream, [`server`] says
//! where it leads.
//!
//! An allocation by UDP is cheaper, for the server and on the way: a stream is opened only when UDP brought no relay
//! address within [`UDP_PATIENCE`], or did not the last time.

mod server;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sazanami_core::signaling::IceServer;
use tokio::sync::watch;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use webrtc::peer_connection::RTCIceServer;

use self::server::Target;
pub(super) use self::socket::Socket;

/// How long UDP has for an allocation: two round trips and a name to look up.
const UDP_PATIENCE: Duration = Duration::from_secs(2);
/// ICE servers with streams that are used at once: each is one more allocation for every link.
const MAX_SERVERS: usize = 4;
/// Where the addresses begin that stand for servers: loopback, which nothing leaves the machine for.
const STAND_INS: [u8; 3] = [127, 255, 0];
/// Their port, that of the discard service: no ICE server is there.
const PORT: u16 = 9;

/// The way to TURN servers that a whole transport has.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    tls: Arc<ClientConfig>,
    /// The last allocation came by a stream only. UDP is tried all the same, and clears this when it works again.
    udp_fails: Arc<AtomicBool>,
}

impl Ways {
    /// Trusts the certificates that browsers trust.
    pub(super) fn new() -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self::trusting(roots)
    }

    fn trusting(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: Arc::new(config),
            udp_fails: Arc::default(),
        }
    }
}

/// The streams of one peer connection.
#[derive(Debug)]
pub(super) struct TurnStreams {
    ways: Ways,
    /// Where the streams of each address that stands for a server lead.
    servers: Mutex<[Vec<Target>; MAX_SERVERS]>,
    /// Whether there is TURN over UDP as well.
    has_udp: AtomicBool,
    /// Counts relay addresses that came by UDP.
    by_udp: watch::Sender<u64>,
}

impl TurnStreams {
    pub(super) fn new(ways: Ways) -> Self {
        Self {
            ways,
            servers: Mutex::default(),
            has_udp: AtomicBool::new(false),
            by_udp: watch::Sender::new(0),
        }
    }

    /// The servers as the crate understands them, from now on. A server keeps the address that stands for it.
    pub(super) fn servers(&self, ice_servers: &[IceServer]) -> Vec<RTCIceServer> {
        let targets = |server: &IceServer| -> Vec<Target> {
            server
                .urls
                .iter()
                .filter_map(|url| Target::parse(url))
                .take(server::MAX_TARGETS)
                .collect()
        };
        let wanted: Vec<_> = ice_servers.iter().map(targets).collect();
        let mut slots = self.slots();
        for slot in slots.iter_mut().filter(|slot| !wanted.contains(slot)) {
            slot.clear();
        }
        let mut has_udp = false;
        let mut servers = Vec::new();
        for (server, targets) in ice_servers.iter().zip(wanted) {
            let mut urls: Vec<String> = server.urls.iter().filter(|url| over_udp(url)).cloned().collect();
            has_udp |= urls.iter().any(|url| url.starts_with("turn:"));
            let free = || slots.iter().position(Vec::is_empty);
            let place = slots.iter().position(|slot| *slot == targets).or_else(free);
            if let (Some(place), false) = (place, targets.is_empty()) {
                slots[place] = targets;
                urls.push(format!("turn:{}?transport=udp", stand_in(place)));
            }
            if !urls.is_empty() {
                servers.push(RTCIceServer {
                    urls,
                    username: server.username.clone().unwrap_or_default(),
                    credential: server.credential.clone().unwrap_or_default(),
                });
            }
        }
        self.has_udp.store(has_udp, Ordering::Relaxed);
        servers
    }

    /// Notes a relay address, and by which URL it came.
    pub(super) fn relay_found(&self, url: &str) {
        if (0..MAX_SERVERS).any(|place| url.contains(&stand_in(place).to_string())) {
            return;
        }
        self.ways.udp_fails.store(false, Ordering::Relaxed);
        self.by_udp.send_modify(|count| *count += 1);
    }

    /// How long UDP is waited for.
    fn patience(&self) -> Duration {
        if self.has_udp.load(Ordering::Relaxed) && !self.ways.udp_fails.load(Ordering::Relaxed) {
            UDP_PATIENCE
        } else {
            Duration::ZERO
        }
    }

    /// Where the streams of an address lead, if it stands for a server.
    fn targets(&self, address: SocketAddr) -> Option<Vec<Target>> {
        let place = (0..MAX_SERVERS).find(|place| stand_in(*place) == address)?;
        Some(self.slots()[place].clone())
    }

    fn slots(&self) -> MutexGuard<'_, [Vec<Target>; MAX_SERVERS]> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that stands for a server.
fn stand_in(place: usize) -> SocketAddr {
    let [a, b, c] = STAND_INS;
    let last = u8::try_from(place + 1).expect("there are few");
    SocketAddr::from((Ipv4Addr::new(a, b, c, last), PORT))
}

/// Whether an address stands for a server, or could.
fn is_stand_in(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(v4) if v4.port() == PORT && v4.ip().octets()[..3] == STAND_INS)
}

/// What the crate does itself; other URLs would only be logged as errors.
fn over_udp(url: &str) -> bool {
    url.starts_with("stun:") || (url.starts_with("turn:") && !url.contains("transport=tcp"))
}
