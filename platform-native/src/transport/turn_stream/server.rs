//! Which server a stream leads to, and the first of its ways that opens.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Ways to one server: plain and over TLS, at a few ports.
pub(super) const MAX_TARGETS: usize = 8;
/// How long a way has before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(500);
/// How long one address has.
const ATTEMPT: Duration = Duration::from_secs(4);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// A way to a TURN server, as its URL says (RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    tls: bool,
    host: String,
    port: u16,
}

/// TCP, or TLS on it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Target {
    /// `None` for URLs of anything else than TURN over TCP or TLS.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (server, query) = rest.split_once('?').unwrap_or((rest, ""));
        let tls = match (scheme, query) {
            ("turn", "transport=tcp") => false,
            ("turns", "" | "transport=tcp") => true,
            _ => return None,
        };
        let default = if tls { 5349 } else { 3478 };
        let (host, port) = match server.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    host,
                    rest.strip_prefix(':')
                        .map_or(Some(default), |port| port.parse().ok())?,
                )
            }
            None => match server.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (server, default),
            },
        };
        // As browsers do: who names TURN servers must not make this program talk to whatever else there is.
        let allowed = matches!(port, 53 | 80 | 443 | 1024..);
        (allowed && !host.is_empty() && host.len() <= 253).then(|| Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }

    async fn open(self, tls: Arc<ClientConfig>) -> io::Result<Box<dyn Stream>> {
        let addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match timeout(ATTEMPT, self.open_at(address, Arc::clone(&tls))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    async fn open_at(&self, address: SocketAddr, tls: Arc<ClientConfig>) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(address).await?;
        // A message must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls).connect(name, stream).await?))
    }
}

/// The first way that opens. Each has a head start before the next.
pub(super) async fn open(targets: Vec<Target>, tls: Arc<ClientConfig>) -> Option<Box<dyn Stream>> {
    let mut attempts = JoinSet::new();
    let mut targets = targets.into_iter().peekable();
    loop {
        if let Some(target) = targets.next() {
            let tls = Arc::clone(&tls);
            attempts.spawn(async move {
                let name = format!("{target:?}");
                target.open(tls).await.map_err(|error| {
                    tracing::debug!(%error, target = name, "no way to TURN");
                })
            });
        }
        let more = targets.peek().is_some();
        let ended = if more {
            timeout(STAGGER, attempts.join_next()).await.ok()
        } else {
            Some(attempts.join_next().await)
        };
        match ended {
            Some(Some(Ok(Ok(stream)))) => return Some(stream),
            Some(None) if !more => return None,
            // Failed, or is slow.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_over_streams_is_known_by_its_url() {
        let parse = |url: &str| Target::parse(url).map(|it| (it.tls, it.host, it.port));
        let is = |tls, host: &str, port| Some((tls, host.to_owned(), port));
        assert_eq!(
            parse("turn:a.example?transport=tcp"),
            is(false, "a.example", 3478)
        );
        assert_eq!(
            parse("turn:a.example:80?transport=tcp"),
            is(false, "a.example", 80)
        );
        assert_eq!(parse("turns:a.example"), is(true, "a.example", 5349));
        assert_eq!(
            parse("turns:[2001:db8::1]:443?transport=tcp"),
            is(true, "2001:db8::1", 443)
        );
        assert_eq!(parse("turns:[2001:db8::1]"), is(true, "2001:db8::1", 5349));
        for other in [
            "turn:a.example",
            "turn:a.example:3478?transport=udp",
            "turns:a.example?transport=udp",
            "stun:a.example",
            "stuns:a.example",
            "turn:a.example:22?transport=tcp",
            "turn:a.example:99999?transport=tcp",
            "turn:[x]:3478?transport=tcp",
            "turn::3478?transport=tcp",
            "turn",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
