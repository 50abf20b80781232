//! `/turn` and the embedded STUN/TURN server, through a real TURN client.

use std::net::SocketAddr;
use std::sync::Arc;

use sazanami_core::signaling::{IceServer, IceServers};
use sazanami_signal::metrics::Limit;
use sazanami_signal::{Config, IceConfig, Rate};
use tokio::net::UdpSocket;
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use crate::harness::{TestServer, within};

async fn ice_servers(server: &TestServer) -> IceServers {
    let response = server.get("/turn").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    response.json().await.unwrap()
}

pub(crate) async fn credentials(server: &TestServer) -> (String, String) {
    let turn = ice_servers(server).await.ice_servers.pop().unwrap();
    (turn.username.unwrap(), turn.credential.unwrap())
}

pub(crate) async fn client(server: &TestServer, username: &str, password: &str) -> Client {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    client_on(socket, server, username, password).await
}

pub(crate) async fn client_on(
    conn: Arc<dyn Conn + Send + Sync>,
    server: &TestServer,
    username: &str,
    password: &str,
) -> Client {
    let address = server.turn.unwrap().to_string();
    let client = Client::new(ClientConfig {
        stun_serv_addr: address.clone(),
        turn_serv_addr: address,
        username: username.to_owned(),
        password: password.to_owned(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: 0,
        conn,
        vnet: None,
    })
    .await
    .unwrap();
    client.listen().await.unwrap();
    client
}

/// Sends to a peer through the relay and back.
pub(crate) async fn relays(relay: &impl Conn) {
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    within(
        "a permission",
        relay.send_to(b"there", peer.local_addr().unwrap()),
    )
    .await
    .unwrap();
    let mut buf = [0; 100];
    let (size, from) = within("the relayed datagram", peer.recv_from(&mut buf))
        .await
        .unwrap();
    assert_eq!(
        (&buf[..size], from),
        (b"there".as_slice(), relay.local_addr().unwrap())
    );
    peer.send_to(b"back", from).await.unwrap();
    let (size, from) = within("the answer", relay.recv_from(&mut buf)).await.unwrap();
    assert_eq!(
        (&buf[..size], from),
        (b"back".as_slice(), peer.local_addr().unwrap())
    );
}

#[tokio::test]
async fn the_credentials_from_turn_make_a_relay_that_carries_both_ways() {
    let server = TestServer::start().await;
    let port = server.turn.unwrap().port();
    let answer = ice_servers(&server).await;
    let [stun, turn] = answer.ice_servers.as_slice() else {
        panic!("{answer:?}")
    };
    let plain = IceServer {
        urls: vec![format!("stun:127.0.0.1:{port}")],
        username: None,
        credential: None,
    };
    assert_eq!(stun, &plain);
    let url = |by: &str| format!("turn:127.0.0.1:{port}?transport={by}");
    assert_eq!(turn.urls, [url("udp"), url("tcp")]);
    assert!(answer.ttl > 60);

    let (username, password) = credentials(&server).await;
    let client = client(&server, &username, &password).await;
    let relay = within("an allocation", client.allocate()).await.unwrap();
    let relayed = relay.local_addr().unwrap();
    assert!(
        relayed.ip().is_loopback() && IceConfig::RELAY_PORTS.contains(&relayed.port()),
        "{relayed}"
    );
    relays(&relay).await;
    let seen = within("a binding", client.send_binding_request()).await.unwrap();
    assert!(seen.ip().is_loopback());
}

#[tokio::test]
async fn two_clients_reach_each_other_through_two_relays() {
    let server = TestServer::start().await;
    let (username, password) = credentials(&server).await;
    let (left, right) = (
        client(&server, &username, &password).await,
        client(&server, &username, &password).await,
    );
    let left = within("an allocation", left.allocate()).await.unwrap();
    let right = within("an allocation", right.allocate()).await.unwrap();
    // Each side must have sent, and so permitted, before it receives.
    let mut buf = [0; 100];
    within("permissions", async {
        right.send_to(b"open", left.local_addr().unwrap()).await.unwrap();
        left.send_to(b"hello", right.local_addr().unwrap()).await.unwrap();
    })
    .await;
    let (size, from) = within("a datagram", right.recv_from(&mut buf)).await.unwrap();
    assert_eq!(
        (&buf[..size], from),
        (b"hello".as_slice(), left.local_addr().unwrap())
    );
}

#[tokio::test]
async fn wrong_made_up_and_expired_credentials_are_refused() {
    let server = TestServer::start().await;
    let (username, password) = credentials(&server).await;
    let (expiry, name) = username.split_once(':').unwrap();
    let later = format!("{}:{name}", expiry.parse::<u64>().unwrap() + 1);
    for (username, password) in [
        (username.as_str(), "wrong"),
        ("nobody", password.as_str()),
        (later.as_str(), password.as_str()),
        ("1000000000:x", password.as_str()),
    ] {
        let client = client(&server, username, password).await;
        assert!(
            within("a refusal", client.allocate()).await.is_err(),
            "{username}"
        );
    }
    let good = client(&server, &username, &password).await;
    assert!(
        within("an allocation", good.allocate()).await.is_ok(),
        "the good ones still work"
    );
}

#[tokio::test]
async fn the_relay_goes_nowhere_but_to_peers() {
    let server = TestServer::start().await;
    let (username, password) = credentials(&server).await;
    let client = client(&server, &username, &password).await;
    let relay = within("an allocation", client.allocate()).await.unwrap();
    // A refused destination must neither be an oracle nor break the allocation.
    for refused in ["127.0.0.1:53", "169.254.169.254:8080", "192.0.2.1:5000"] {
        let refused: SocketAddr = refused.parse().unwrap();
        within("a refused send", relay.send_to(b"x", refused))
            .await
            .unwrap();
    }
    relays(&relay).await;
}

#[tokio::test]
async fn allocations_of_one_address_are_limited_and_given_back() {
    let mut config = Config::on_any_port();
    config.limits.allocations_per_address = 1;
    let server = TestServer::with(config).await;
    let (username, password) = credentials(&server).await;
    let first = client(&server, &username, &password).await;
    let relay = within("an allocation", first.allocate()).await.unwrap();
    let second = client(&server, &username, &password).await;
    assert!(within("a refusal", second.allocate()).await.is_err());
    within("the end of the first", relay.close()).await.unwrap();
    within("room again", async {
        loop {
            let next = client(&server, &username, &password).await;
            if next.allocate().await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_credential_relays_only_so_much_and_both_ways_are_counted() {
    let mut config = Config::on_any_port();
    config.limits.turn_bytes_per_credential = Rate::new(1_000.0, 0.0);
    let server = TestServer::with(config).await;
    let metrics = server.hub.metrics();
    let (username, password) = credentials(&server).await;
    let alice = client(&server, &username, &password).await;
    let relay = within("an allocation", alice.allocate()).await.unwrap();
    relays(&relay).await;
    assert_eq!(metrics.turn_allocations.get(), 1);
    assert_eq!(metrics.turn_bytes.get(), 9, "\"there\" and \"back\"");

    // The large one does not fit any more, a small one after it does.
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = peer.local_addr().unwrap();
    relay.send_to(&[b'x'; 995], to).await.unwrap();
    relay.send_to(b"small", to).await.unwrap();
    let mut buf = [0; 2_000];
    let (size, _) = within("the small one", peer.recv_from(&mut buf)).await.unwrap();
    assert_eq!(&buf[..size], b"small");
    assert_eq!(metrics.struck(Limit::TurnBytesPerCredential), 1);
    // Somebody else's credential has its own.
    let (username, password) = credentials(&server).await;
    let other = client(&server, &username, &password).await;
    relays(&within("an allocation", other.allocate()).await.unwrap()).await;
}

#[tokio::test]
async fn datagrams_of_noise_do_not_stop_the_turn_server() {
    let server = TestServer::start().await;
    let (username, password) = credentials(&server).await;
    let attacker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut attack = Attack { state: 42 };
    for _ in 0..3_000 {
        attacker
            .send_to(&attack.datagram(&username), server.turn.unwrap())
            .await
            .unwrap();
    }
    let client = client(&server, &username, &password).await;
    let relay = within("an allocation after noise", client.allocate())
        .await
        .unwrap();
    relays(&relay).await;
}

/// STUN-like noise from a fixed seed.
struct Attack {
    state: u64,
}

impl Attack {
    fn next(&mut self, below: usize) -> usize {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    fn datagram(&mut self, username: &str) -> Vec<u8> {
        let kinds = [0x0001_u16, 0x0003, 0x0004, 0x0008, 0x0009, 0x0016];
        let mut attributes = Vec::new();
        for _ in 0..self.next(6) {
            // USERNAME, MESSAGE-INTEGRITY, REALM, NONCE, XOR-PEER-ADDRESS, LIFETIME, EVEN-PORT, FINGERPRINT …
            let types = [
                0x0006_u16, 0x0008, 0x0014, 0x0015, 0x0012, 0x000D, 0x0018, 0x0019, 0x0022, 0x8028, 0x000C,
            ];
            let kind = types[self.next(types.len())];
            let value: Vec<u8> = match kind {
                0x0006 if self.next(2) == 0 => username.bytes().collect(),
                _ => (0..self.next(40)).map(|_| self.next(256) as u8).collect(),
            };
            attributes.extend_from_slice(&kind.to_be_bytes());
            attributes.extend_from_slice(&(value.len() as u16).to_be_bytes());
            attributes.extend_from_slice(&value);
            attributes.resize(attributes.len().next_multiple_of(4), 0);
        }
        let kind = kinds[self.next(kinds.len())];
        let mut datagram = [kind.to_be_bytes(), (attributes.len() as u16).to_be_bytes()].concat();
        datagram.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        datagram.extend((0..12).map(|_| self.next(256) as u8));
        datagram.extend_from_slice(&attributes);
        if self.next(4) == 0 {
            let place = self.next(datagram.len());
            datagram[place] = self.next(256) as u8;
        }
        datagram
    }
}

#[tokio::test]
async fn coturn_gets_its_shared_secret_credentials() {
    let urls = [
        "turn:turn.example.org:3478?transport=udp",
        "stun:turn.example.org:3478",
    ]
    .map(str::to_owned)
    .to_vec();
    let ice = IceConfig::Coturn {
        secret: "north".into(),
        urls,
    };
    let server = TestServer::with(Config {
        ice,
        ..Config::on_any_port()
    })
    .await;
    assert_eq!(server.turn, None);
    let answer = ice_servers(&server).await;
    let [stun, turn] = answer.ice_servers.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (stun.urls.as_slice(), &stun.credential),
        (["stun:turn.example.org:3478".to_owned()].as_slice(), &None)
    );
    let (username, password) = (turn.username.clone().unwrap(), turn.credential.clone().unwrap());
    let expiry: u64 = username.split_once(':').unwrap().0.parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(expiry.abs_diff(now + answer.ttl) < 60);
    // The known vector is beside the code; this is the derivation once more, from what came over the wire.
    use base64::Engine;
    use hmac::Mac;
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(b"north").unwrap();
    mac.update(username.as_bytes());
    assert_eq!(
        password,
        base64::prelude::BASE64_STANDARD.encode(mac.finalize().into_bytes())
    );
}

#[tokio::test]
async fn without_turn_the_list_is_empty() {
    let server = TestServer::with(Config {
        ice: IceConfig::None,
        ..Config::on_any_port()
    })
    .await;
    assert_eq!(server.turn, None);
    assert_eq!(ice_servers(&server).await.ice_servers, []);
}

#[tokio::test]
async fn the_urls_carry_the_public_host_or_the_one_asked_for() {
    let named = Config {
        public_host: Some("localhost".into()),
        ..Config::on_any_port()
    };
    let server = TestServer::with(named).await;
    assert!(ice_servers(&server).await.ice_servers[0].urls[0].starts_with("stun:localhost:"));

    let everywhere = Config {
        listen: "0.0.0.0:0".parse().unwrap(),
        ice: embedded(),
        ..Config::on_any_port()
    };
    let Ok(server) = sazanami_signal::Server::bind(everywhere).await else {
        // A machine without any route has no address to announce.
        return;
    };
    let port = server.local_addr().port();
    tokio::spawn(server.serve(std::future::pending()));
    let ask = async |host: &str| {
        let request = reqwest::Client::new()
            .get(format!("http://127.0.0.1:{port}/turn"))
            .header("host", host);
        within("an answer", request.send()).await.unwrap()
    };
    let answer: IceServers = ask("peers.example:8080").await.json().await.unwrap();
    assert!(
        answer.ice_servers[0].urls[0].starts_with("stun:peers.example:"),
        "{answer:?}"
    );
    assert_eq!(ask("a\"b").await.status(), 400);
}

fn embedded() -> IceConfig {
    IceConfig::Embedded {
        port: 0,
        tcp_port: Some(0),
        relay_ports: IceConfig::RELAY_PORTS,
    }
}

#[tokio::test]
async fn turn_is_rate_limited_per_address() {
    let mut config = Config::on_any_port();
    config.limits.turn_per_address = Rate::new(3.0, 0.001);
    let server = TestServer::with(config).await;
    for _ in 0..3 {
        ice_servers(&server).await;
    }
    let refused = server.get("/turn").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["cache-control"], "no-store");
}
