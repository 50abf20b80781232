//! What a server is told.

mod limit_options;
mod options;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sazanami_core::signaling::ServerUrl;

pub use self::limit_options::{LimitOptions, RateOption, Seconds};
pub use self::options::{BadConfig, IceKind, LogFormat, Options};
use crate::limits::Limits;

/// Everything that a [`crate::Server`] needs to know. [`Options`] makes one from flags, environment and file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen for HTTP; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The name or address that clients reach this server by, without a port: what ICE URLs carry, and what the
    /// embedded TURN announces as its relay address. Without it: the address listened on. When that is unspecified
    /// (`0.0.0.0`), URLs carry the host of the client's own request, and the relay address is the one from which this
    /// machine reaches others.
    pub public_host: Option<String>,
    /// The built web app.
    pub web_root: Option<PathBuf>,
    /// Where `/turn` gets its ICE servers.
    pub ice: IceConfig,
    /// How long TURN credentials of our own hold (not Cloudflare's). What was made with them lives on while it is used.
    pub turn_ttl: Duration,
    /// A reverse proxy stands in front: the client's address is the last entry of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// The certificate, for HTTPS instead of HTTP.
    pub tls: Option<TlsFiles>,
    /// The NATS that joins this server with others into one.
    pub nats: Option<String>,
    /// Other servers that clients are told to use beside this one.
    pub recommend: Vec<ServerUrl>,
    /// Where to listen for `/metrics`; port 0 takes any free one.
    pub metrics_listen: Option<SocketAddr>,
    /// The time over which clients are told to go when the server stops.
    pub drain_time: Duration,
    /// What one client may cost.
    pub limits: Limits,
}

/// PEM files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where ICE servers come from.
#[derive(Clone, Debug)]
pub enum IceConfig {
    /// Nowhere: `/turn` answers an empty list.
    None,
    /// The embedded STUN/TURN server.
    Embedded {
        /// Its UDP port; 0 takes any free one.
        port: u16,
        /// Its TCP port, if any; 0 takes that of UDP.
        tcp_port: Option<u16>,
        /// The UDP ports that it relays on.
        relay_ports: RangeInclusive<u16>,
    },
    /// A coturn with `use-auth-secret`.
    Coturn {
        /// Its `static-auth-secret`.
        secret: String,
        /// `stun:`, `turn:` and `turns:` URLs.
        urls: Vec<String>,
    },
    /// Cloudflare Realtime TURN.
    Cloudflare {
        /// `https://rtc.live.cloudflare.com/v1/turn/keys/<key id>/credentials/generate-ice-servers`.
        request_url: Option<String>,
        /// The key's API token.
        api_token: Option<String>,
        /// How long to wait for an answer.
        timeout: Duration,
    },
}

impl IceConfig {
    /// IANA's port for STUN and TURN.
    pub const TURN_PORT: u16 = 3478;
    /// Inside the ephemeral range, where no service listens; one port per allocation.
    pub const RELAY_PORTS: RangeInclusive<u16> = 49_160..=53_159;
    /// How long Cloudflare may take.
    pub const CLOUDFLARE_TIMEOUT: Duration = Duration::from_secs(10);
}

impl Config {
    /// The port that `./run` shows.
    pub const PORT: u16 = 8080;
    /// Peers ask for the next ones in time.
    pub const TURN_TTL: Duration = Duration::from_secs(3600);
    /// Longer than the back-off of clients, shorter than service managers wait before they kill.
    pub const DRAIN_TIME: Duration = Duration::from_secs(10);

    /// A server on `listen` with everything else as by default: the embedded STUN/TURN, no web app.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            public_host: None,
            web_root: None,
            ice: IceConfig::Embedded {
                port: IceConfig::TURN_PORT,
                tcp_port: Some(0),
                relay_ports: IceConfig::RELAY_PORTS,
            },
            turn_ttl: Self::TURN_TTL,
            behind_proxy: false,
            tls: None,
            nats: None,
            recommend: Vec::new(),
            metrics_listen: None,
            drain_time: Self::DRAIN_TIME,
            limits: Limits::for_listener(listen.ip()),
        }
    }

    /// A server on free ports of 127.0.0.1, for tests.
    pub fn on_any_port() -> Self {
        Self {
            ice: IceConfig::Embedded {
                port: 0,
                tcp_port: Some(0),
                relay_ports: IceConfig::RELAY_PORTS,
            },
            ..Self::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
        }
    }
}
