//! The sockets that relayed traffic goes through.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use turn::Error;
use turn::relay::RelayAddressGenerator;
use webrtc_util::Conn;

use super::clients::{Clients, Lease};
use super::policy::Policy;
use super::streams::Open;

/// Opens relay sockets in a range of ports.
pub(crate) struct Relays {
    pub(crate) bind_ip: IpAddr,
    pub(crate) relay_ip: IpAddr,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) policy: Policy,
    pub(crate) clients: Arc<Clients>,
    /// Where clients have connections, with which their allocations end.
    pub(crate) connections: Option<Arc<Open>>,
}

#[async_trait]
impl RelayAddressGenerator for Relays {
    fn validate(&self) -> Result<(), Error> {
        if self.ports.is_empty() {
            Err(Error::ErrMaxPortLessThanMinPort)
        } else {
            Ok(())
        }
    }

    async fn allocate_conn(
        &self,
        use_ipv4: bool,
        requested_port: u16,
    ) -> Result<(Arc<dyn Conn + Send + Sync>, SocketAddr), Error> {
        if use_ipv4 != self.relay_ip.is_ipv4() {
            return Err(Error::Other("no relay address of this family".to_owned()));
        }
        let lease = self
            .clients
            .lease()
            .ok_or_else(|| Error::Other("too many allocations".to_owned()))?;
        let socket = self.bind(requested_port).await?;
        let relay_addr = SocketAddr::new(self.relay_ip, socket.local_addr()?.port());
        let relay = Relay {
            socket,
            policy: self.policy,
            connection: self.connections.as_ref().map(|open| open.end_of(lease.client())),
            lease,
        };
        Ok((Arc::new(relay), relay_addr))
    }
}

impl Relays {
    /// A socket on the port asked for, or on the first free one from a random start on: with random tries alone a
    /// nearly full range would seem full.
    async fn bind(&self, requested: u16) -> Result<UdpSocket, Error> {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let start = match requested {
            0 => rand::random_range(self.ports.clone()),
            port if self.ports.contains(&port) => return Ok(UdpSocket::bind((self.bind_ip, port)).await?),
            _ => return Err(Error::ErrMaxRetriesExceeded),
        };
        for port in (start..=last).chain(first..start) {
            if let Ok(socket) = UdpSocket::bind((self.bind_ip, port)).await {
                return Ok(socket);
            }
        }
        Err(Error::ErrMaxRetriesExceeded)
    }
}

/// One client's relay socket. It drops what the policy refuses without an error: the `turn` crate would log the
/// addresses, and the client could ask which ones are there.
struct Relay {
    socket: UdpSocket,
    policy: Policy,
    lease: Lease,
    /// Ends with the client's connection, where it has one.
    connection: Option<watch::Receiver<()>>,
}

async fn ended(connection: Option<watch::Receiver<()>>) {
    match connection {
        // Nothing is sent on it: it ends when the other end is dropped.
        Some(mut connection) => while connection.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Conn for Relay {
    async fn connect(&self, addr: SocketAddr) -> Result<(), webrtc_util::Error> {
        Ok(self.socket.connect(addr).await?)
    }

    async fn recv(&self, buf: &mut [u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.recv_from(buf).await?.0)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), webrtc_util::Error> {
        loop {
            let (size, peer) = tokio::select! {
                received = super::listener::receive(&self.socket, buf) => received,
                // Upon an error the `turn` crate ends the allocation.
                () = ended(self.connection.clone()) => return Err(webrtc_util::Error::ErrUseClosedNetworkConn),
            };
            if self.policy.allows(peer) && self.lease.may_relay(size, crate::ws::now()) {
                return Ok((size, peer));
            }
        }
    }

    async fn send(&self, buf: &[u8]) -> Result<usize, webrtc_util::Error> {
        Ok(self.socket.send(buf).await?)
    }

    async fn send_to(&self, buf: &[u8], peer: SocketAddr) -> Result<usize, webrtc_util::Error> {
        if self.policy.allows(peer) && self.lease.may_relay(buf.len(), crate::ws::now()) {
            // UDP may lose it: an unreachable peer is no reason to end anything.
            let _ = self.socket.send_to(buf, peer).await;
        }
        Ok(buf.len())
    }

    fn local_addr(&self) -> Result<SocketAddr, webrtc_util::Error> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> Result<(), webrtc_util::Error> {
        // Closed when dropped.
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}
