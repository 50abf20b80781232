//! What the TURN server reads.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sazanami_core::time::Millis;
use tokio::net::UdpSocket;
use webrtc_util::Conn;

use super::clients::Clients;
use crate::address::ClientAddress;
use crate::bucket::{KeyedBuckets, Rate, TokenBucket};
use crate::limits::Limits;
use crate::lock;
use crate::metrics::Limit;

/// STUN header (RFC 5389 §6), which every message here starts with, and its magic cookie.
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// What a datagram is, as far as it matters for letting it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Datagram {
    /// STUN binding: costs nothing to answer.
    Binding,
    /// Makes an allocation.
    Allocate,
    /// Is about an allocation that must be there.
    Allocated,
    /// Neither STUN nor TURN, or an answer, which a server never asked for.
    Other,
}

/// Decides what is read at all.
#[derive(Clone)]
pub(crate) struct Gate {
    clients: Arc<Clients>,
    /// Allocate and refresh requests, of one address and from everybody together.
    requests: Arc<Mutex<(KeyedBuckets<ClientAddress>, TokenBucket)>>,
    from_all: Rate,
}

impl Gate {
    pub(crate) fn new(clients: Arc<Clients>, limits: &Limits) -> Self {
        let buckets = (
            KeyedBuckets::new(limits.turn_requests_per_address),
            TokenBucket::full(limits.turn_requests, crate::ws::now()),
        );
        Self {
            clients,
            requests: Arc::new(Mutex::new(buckets)),
            from_all: limits.turn_requests,
        }
    }

    /// For other clients, within the same limits for both together.
    pub(crate) fn beside(&self, clients: Arc<Clients>) -> Self {
        Self {
            clients,
            ..self.clone()
        }
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(crate) fn lets_in(&self, datagram: &[u8], client: SocketAddr, now: Millis) -> bool {
        match classify(datagram) {
            Datagram::Binding => true,
            Datagram::Allocate => self.within_rate(client, now),
            Datagram::Allocated if is_refresh(datagram) => {
                self.clients.has_allocation(client) && self.within_rate(client, now)
            }
            Datagram::Allocated => self.clients.has_allocation(client),
            Datagram::Other => false,
        }
    }

    fn within_rate(&self, client: SocketAddr, now: Millis) -> bool {
        let mut requests = lock(&self.requests);
        // Its own first: one flooder must not use up what is for all.
        let within = requests.0.take(client.ip().into(), now) && requests.1.take(self.from_all, 1.0, now);
        if !within {
            self.clients.metrics().strike(Limit::TurnRequests);
        }
        within
    }
}

/// The listening UDP socket.
pub(crate) struct Listener {
    socket: UdpSocket,
    gate: Gate,
}

impl Listener {
    pub(crate) fn new(socket: UdpSocket, gate: Gate) -> Self {
        Self { socket, gate }
    }
}

fn is_refresh(datagram: &[u8]) -> bool {
    datagram.starts_with(&[0x00, 0x04])
}

fn classify(datagram: &[u8]) -> Datagram {
    let &[first, second, high, low, ..] = datagram else {
        return Datagram::Other;
    };
    if (0x40..0x80).contains(&first) {
        return Datagram::Allocated;
    }
    let size = usize::from(u16::from_be_bytes([high, low]));
    let is_stun = datagram.len() == HEADER + size && size.is_multiple_of(4) && datagram[4..8] == COOKIE;
    match u16::from_be_bytes([first, second]) {
        _ if !is_stun => Datagram::Other,
        0x0001 => Datagram::Binding,
        0x0003 => Datagram::Allocate,
        // Refresh, CreatePermission, ChannelBind requests; Send indication.
        0x0004 | 0x0008 | 0x0009 | 0x0016 => Datagram::Allocated,
        _ => Datagram::Other,
    }
}

/// Receives. Errors of a UDP socket tell of an earlier datagram that did not arrive; the `turn` crate would end its
/// loop over them.
pub(super) async fn receive(socket: &UdpSocket, buf: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buf).await {
            Ok(received) => return received,
            // Not at once, should the error stay.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[async_trait]
impl Conn for Listener {
    async fn connect(&self, addr: SocketAddr) -> Result<(), webrtc_util::Error> {
        Ok(self.socket.connect(addr).await?)
    }

    async fn recv(&self, buf: &mut [u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.recv_from(buf).await?.0)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), webrtc_util::Error> {
        loop {
            let (size, client) = receive(&self.socket, buf).await;
            if self.gate.lets_in(&buf[..size], client, crate::ws::now()) {
                return Ok((size, client));
            }
        }
    }

    async fn send(&self, buf: &[u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.socket.send(buf).await?)
    }

    async fn send_to(&self, buf: &[u8], client: SocketAddr) -> Result<usize, webrtc_util::Error> {
        let _ = self.socket.send_to(buf, client).await;
        Ok(buf.len())
    }

    fn local_addr(&self) -> Result<SocketAddr, webrtc_util::Error> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> Result<(), webrtc_util::Error> {
        // Closed when dropped; the `turn` crate also calls this at the end of each allocation.
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(kind: u16, size: u16) -> Vec<u8> {
        let mut bytes = [kind.to_be_bytes(), size.to_be_bytes()].concat();
        bytes.extend_from_slice(&COOKIE);
        bytes.resize(HEADER + usize::from(size), 0);
        bytes
    }

    #[test]
    fn only_whole_requests_are_let_in() {
        assert_eq!(classify(&stun(0x0001, 0)), Datagram::Binding);
        assert_eq!(classify(&stun(0x0003, 8)), Datagram::Allocate);
        assert_eq!(classify(&stun(0x0016, 8)), Datagram::Allocated);
        assert_eq!(classify(&[0x40, 0, 0, 0]), Datagram::Allocated);
        for other in [
            vec![],
            vec![0, 1, 0],
            stun(0x0001, 3),
            stun(0x0101, 0),
            stun(0x0017, 4),
            vec![0x80; 40],
        ] {
            assert_eq!(classify(&other), Datagram::Other, "{other:?}");
        }
        let mut longer = stun(0x0001, 4);
        longer.push(0);
        assert_eq!(classify(&longer), Datagram::Other);
        let mut no_cookie = stun(0x0001, 4);
        no_cookie[4] = 0;
        assert_eq!(classify(&no_cookie), Datagram::Other);
    }

    #[test]
    fn a_flood_of_requests_is_cut_without_an_allocation_there_is_nothing_to_refresh() {
        let limits = Limits::for_listener([127, 0, 0, 1].into());
        let clients = Arc::new(Clients::new(&limits, Arc::default()));
        let listener = Gate::new(Arc::clone(&clients), &limits);
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        let now = crate::ws::now();
        let let_in = (0..2_000)
            .filter(|_| listener.lets_in(&stun(0x0003, 0), client, now))
            .count();
        assert_eq!(let_in, limits.turn_requests_per_address.burst as usize);
        assert_eq!(
            clients.metrics().struck(Limit::TurnRequests),
            2_000 - let_in as u64
        );
        assert!(listener.lets_in(&stun(0x0001, 0), client, now), "STUN goes on");
        let other = SocketAddr::from(([192, 0, 2, 2], 5000));
        assert!(listener.lets_in(&stun(0x0003, 0), other, now), "and so do others");
        for needs_allocation in [stun(0x0004, 0), stun(0x0009, 0), vec![0x40, 0, 0, 0]] {
            assert!(!listener.lets_in(&needs_allocation, other, now));
        }
    }
}
