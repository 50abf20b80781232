//! ICE servers for `/turn`: the embedded STUN/TURN, a coturn, Cloudflare, or none.

mod cloudflare;
pub(crate) mod credentials;

use sazanami_core::signaling::{IceServer, IceServers};

pub(crate) use self::cloudflare::Cloudflare;

/// For which an answer without credentials holds, in seconds.
const TTL_SECS: u64 = 3600;

/// Where ICE servers come from.
#[derive(Debug)]
pub(crate) enum Ice {
    None,
    /// `ttl`, in seconds: how long its credentials hold. An allocation is kept for as long as it is refreshed; peers ask
    /// again for the next one.
    Embedded {
        secret: String,
        port: u16,
        tcp_port: Option<u16>,
        ttl: u64,
    },
    Coturn {
        secret: String,
        urls: Vec<String>,
        ttl: u64,
    },
    Cloudflare(Cloudflare),
}

/// Why there are no ICE servers to give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IceError {
    #[error("ICE servers come from Cloudflare, but these variables are not set: {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    #[error("the TURN provider did not answer as expected: {0}")]
    Upstream(String),
}

impl Ice {
    /// # Errors
    /// When it cannot give any servers as it is configured.
    pub(crate) fn is_configured(&self) -> Result<(), IceError> {
        match self {
            Self::Cloudflare(cloudflare) => cloudflare.is_configured(),
            Self::None | Self::Embedded { .. } | Self::Coturn { .. } => Ok(()),
        }
    }

    /// Servers for one client, who reaches this server as `host`.
    pub(crate) async fn servers(&self, host: &str) -> Result<IceServers, IceError> {
        match self {
            Self::None => Ok(IceServers {
                ice_servers: Vec::new(),
                ttl: TTL_SECS,
            }),
            Self::Embedded {
                secret,
                port,
                tcp_port,
                ttl,
            } => {
                let mut urls = vec![format!("turn:{host}:{port}?transport=udp")];
                urls.extend(tcp_port.map(|port| format!("turn:{host}:{port}?transport=tcp")));
                let stun = IceServer {
                    urls: vec![format!("stun:{host}:{port}")],
                    username: None,
                    credential: None,
                };
                Ok(IceServers {
                    ice_servers: vec![stun, with_credentials(urls, secret, *ttl)],
                    ttl: *ttl,
                })
            }
            Self::Coturn { secret, urls, ttl } => {
                // A browser refuses a STUN URL with credentials in some versions, and a TURN URL without in all.
                let (turn, stun): (Vec<_>, Vec<_>) =
                    urls.iter().cloned().partition(|url| url.starts_with("turn"));
                let mut ice_servers = Vec::new();
                if !stun.is_empty() {
                    ice_servers.push(IceServer {
                        urls: stun,
                        username: None,
                        credential: None,
                    });
                }
                if !turn.is_empty() {
                    ice_servers.push(with_credentials(turn, secret, *ttl));
                }
                Ok(IceServers {
                    ice_servers,
                    ttl: *ttl,
                })
            }
            Self::Cloudflare(cloudflare) => cloudflare.servers().await,
        }
    }
}

fn with_credentials(urls: Vec<String>, secret: &str, ttl: u64) -> IceServer {
    let expiry = crate::ws::now().0 / 1000 + ttl;
    let issued = credentials::issue(secret, expiry, &hex::encode(rand::random::<[u8; 8]>()));
    IceServer {
        urls,
        username: Some(issued.username),
        credential: Some(issued.password),
    }
}
