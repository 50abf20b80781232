//! What a server is told.

mod options;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

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
    /// A reverse proxy stands in front: the client's address is the last entry of `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// What one client may cost.
    pub limits: Limits,
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

    /// A server on `listen` with everything else as by default: the embedded STUN/TURN, no web app.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            public_host: None,
            web_root: None,
            ice: IceConfig::Embedded {
                port: IceConfig::TURN_PORT,
                relay_ports: IceConfig::RELAY_PORTS,
            },
            behind_proxy: false,
            limits: Limits::for_listener(listen.ip()),
        }
    }

    /// A server on free ports of 127.0.0.1, for tests.
    pub fn on_any_port() -> Self {
        Self {
            ice: IceConfig::Embedded {
                port: 0,
                relay_ports: IceConfig::RELAY_PORTS,
            },
            ..Self::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
        }
    }
}
