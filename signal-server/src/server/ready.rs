//! Whether the STUN/TURN server that clients are sent to answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a result is good: `/readyz` is open to the world.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// STUN binding request (RFC 5389 §6) but for its transaction id.
const BINDING: [u8; 8] = [0x00, 0x01, 0, 0, 0x21, 0x12, 0xA4, 0x42];
/// What a binding request is answered with.
const BOUND: [u8; 2] = [0x01, 0x01];

/// Asks a STUN/TURN server from time to time.
#[derive(Debug)]
pub(crate) struct Probe {
    /// `host:port`.
    server: String,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Probe {
    /// Of a server on this machine, which listens on `address`.
    pub(crate) fn of_listener(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self::of(SocketAddr::new(ip, address.port()).to_string())
    }

    /// Of the first of these ICE URLs that can be asked over UDP.
    pub(crate) fn of_urls(urls: &[String]) -> Option<Self> {
        let server = urls.iter().find_map(|url| {
            let (scheme, rest) = url.split_once(':')?;
            let (server, query) = rest.split_once('?').unwrap_or((rest, ""));
            let udp = matches!(scheme, "stun" | "turn") && !query.contains("transport=tcp");
            let has_port = server
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            udp.then(|| {
                if has_port {
                    server.to_owned()
                } else {
                    format!("{server}:{}", crate::IceConfig::TURN_PORT)
                }
            })
        });
        server.map(Self::of)
    }

    fn of(server: String) -> Self {
        Self {
            server,
            last: Mutex::default(),
        }
    }

    /// Whether it answers, or did just now.
    pub(crate) async fn answers(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((when, result)) = *last
            && when.elapsed() < GOOD_FOR
        {
            return result;
        }
        let result = matches!(timeout(LIMIT, ask(&self.server)).await, Ok(Ok(true)));
        *last = Some((Instant::now(), result));
        result
    }
}

async fn ask(server: &str) -> std::io::Result<bool> {
    let Some(address) = tokio::net::lookup_host(server).await?.next() else {
        return Ok(false);
    };
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    let transaction = rand::random::<[u8; 12]>();
    socket.send(&[&BINDING[..], &transaction].concat()).await?;
    let mut answer = [0; 1024];
    let size = socket.recv(&mut answer).await?;
    Ok(size >= 20 && answer.starts_with(&BOUND) && answer[8..20] == transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_over_udp_is_asked() {
        let of = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            Probe::of_urls(&urls).map(|probe| probe.server)
        };
        assert_eq!(
            of(&["turns:a:5349", "turn:b:3479?transport=udp"]).as_deref(),
            Some("b:3479")
        );
        assert_eq!(of(&["stun:c"]).as_deref(), Some("c:3478"));
        assert_eq!(of(&["turn:[::1]:99"]).as_deref(), Some("[::1]:99"));
        assert_eq!(of(&["turn:a:1?transport=tcp"]), None);
    }

    #[tokio::test]
    async fn silence_is_no_answer() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert!(!Probe::of_listener(silent.local_addr().unwrap()).answers().await);
    }
}
