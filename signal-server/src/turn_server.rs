//! The embedded STUN/TURN server (RFC 5389, RFC 5766) over UDP.
//!
//! The protocol is the `turn` crate's. Here is what keeps it from being an open proxy and from being flooded: whom it
//! believes ([`auth`]), whom it relays to ([`policy`]), which ports it takes ([`relay`]), what it reads at all
//! ([`listener`]).

mod auth;
mod clients;
mod listener;
mod policy;
mod relay;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};

use self::auth::Auth;
use self::clients::Clients;
use self::listener::Listener;
use self::policy::Policy;
use self::relay::Relays;
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
    server: Server,
    local_addr: SocketAddr,
}

impl TurnServer {
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn bind(options: Options) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(options.listen).await?;
        let local_addr = socket.local_addr()?;
        let clients = Arc::new(Clients::new(&options.limits, options.metrics));
        let relays = Relays {
            bind_ip: options.listen.ip(),
            relay_ip: options.relay_ip,
            ports: options.relay_ports,
            policy: Policy::new(options.relay_ip),
            clients: Arc::clone(&clients),
        };
        let config = ServerConfig {
            conn_configs: vec![ConnConfig {
                conn: Arc::new(Listener::new(socket, Arc::clone(&clients), &options.limits)),
                relay_addr_generator: Box::new(relays),
            }],
            realm: REALM.to_owned(),
            auth_handler: Arc::new(Auth::new(options.secret, clients)),
            // Zero: the crate's default of 10 minutes.
            channel_bind_timeout: Duration::ZERO,
            alloc_close_notify: None,
        };
        let server = Server::new(config).await.map_err(std::io::Error::other)?;
        Ok(Self { server, local_addr })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(crate) async fn close(&self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.server.close())
            .await
            .is_err()
        {
            tracing::warn!("the TURN server did not stop in time");
        }
    }
}
