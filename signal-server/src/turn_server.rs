//! The embedded STUN/TURN server (RFC 5389, RFC 5766) over UDP, and TURN over TCP.
//!
//! The protocol is the `turn` crate's. Here is what keeps it from being an open proxy and from being flooded: whom it
//! believes ([`auth`]), whom it relays to ([`policy`]), which ports it takes ([`relay`]), what it reads at all
//! ([`listener`]), and who may connect by TCP ([`streams`]).

mod auth;
mod clients;
mod listener;
mod policy;
mod relay;
mod streams;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use webrtc_util::Conn;

use self::auth::Auth;
use self::clients::Clients;
use self::listener::{Gate, Listener};
use self::policy::Policy;
use self::relay::Relays;
use self::streams::Streams;
use crate::limits::Limits;
use crate::metrics::Metrics;

/// Names the server in TURN authentication; part of the key that a password becomes.
pub(crate) const REALM: &str = "sazanami";

/// How long closing may take before the process stops anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the embedded server needs to know.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The TCP port, if any; 0 takes that of UDP.
    pub(crate) tcp_port: Option<u16>,
    /// The address that it announces for relayed traffic.
    pub(crate) relay_ip: IpAddr,
    /// The ports that it relays on.
    pub(crate) relay_ports: RangeInclusive<u16>,
    /// What one client may cost.
    pub(crate) limits: Limits,
    /// Where it counts.
    pub(crate) metrics: Arc<Metrics>,
    /// The secret that its credentials are made from.
    pub(crate) secret: String,
}

/// A running STUN/TURN server.
pub(crate) struct TurnServer {
    servers: Vec<Server>,
    local_addr: SocketAddr,
    tcp_addr: Option<SocketAddr>,
}

impl TurnServer {
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn bind(options: Options) -> std::io::Result<Self> {
        let (udp, tcp) = sockets(options.listen, options.tcp_port).await?;
        let local_addr = udp.local_addr()?;
        let tcp_addr = tcp.as_ref().map(TcpListener::local_addr).transpose()?;
        let limits = &options.limits;
        let clients = Arc::new(Clients::new(limits, Arc::clone(&options.metrics)));
        let gate = Gate::new(Arc::clone(&clients), limits);
        let mut servers = Vec::new();
        if let Some(listener) = tcp {
            let clients = Arc::new(clients.beside());
            let streams = Streams::new(listener, gate.beside(Arc::clone(&clients)), limits)?;
            let open = streams.open();
            servers.push(options.serve(Arc::new(streams), clients, Some(open)).await?);
        }
        let listener = Listener::new(udp, gate);
        servers.push(options.serve(Arc::new(listener), clients, None).await?);
        Ok(Self {
            servers,
            local_addr,
            tcp_addr,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The TCP port, if it has one.
    pub(crate) fn tcp_port(&self) -> Option<u16> {
        self.tcp_addr.map(|address| address.port())
    }

    pub(crate) async fn close(&self) {
        let all = async {
            for server in &self.servers {
                // One that has ended already is closed.
                let _ = server.close().await;
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, all).await.is_err() {
            tracing::warn!("the TURN server did not stop in time");
        }
    }
}

impl Options {
    /// A server for clients of one kind. Each has a loop of its own, in which [`Clients`] tells who asks.
    async fn serve(
        &self,
        conn: Arc<dyn Conn + Send + Sync>,
        clients: Arc<Clients>,
        connections: Option<Arc<streams::Open>>,
    ) -> std::io::Result<Server> {
        let relays = Relays {
            bind_ip: self.listen.ip(),
            relay_ip: self.relay_ip,
            ports: self.relay_ports.clone(),
            policy: Policy::new(self.relay_ip),
            clients: Arc::clone(&clients),
            connections,
        };
        let config = ServerConfig {
            conn_configs: vec![ConnConfig {
                conn,
                relay_addr_generator: Box::new(relays),
            }],
            realm: REALM.to_owned(),
            auth_handler: Arc::new(Auth::new(self.secret.clone(), clients)),
            // Zero: the crate's default of 10 minutes.
            channel_bind_timeout: Duration::ZERO,
            alloc_close_notify: None,
        };
        Server::new(config).await.map_err(std::io::Error::other)
    }
}

/// The sockets to listen on. Any free port for both is looked for a few times: of UDP and TCP each has its own.
async fn sockets(listen: SocketAddr, tcp: Option<u16>) -> std::io::Result<(UdpSocket, Option<TcpListener>)> {
    let mut tries = if listen.port() == 0 { 20 } else { 1 };
    loop {
        tries -= 1;
        let udp = UdpSocket::bind(listen).await?;
        let port = match tcp {
            None => return Ok((udp, None)),
            Some(0) => udp.local_addr()?.port(),
            Some(port) => port,
        };
        match TcpListener::bind((listen.ip(), port)).await {
            Ok(listener) => return Ok((udp, Some(listener))),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}
