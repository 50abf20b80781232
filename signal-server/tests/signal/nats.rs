//! Several servers as one, with a real `nats-server`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sazanami_core::Keys;
use sazanami_core::signaling::{ClientMessage, ServerMessage, SessionId, Topic};
use sazanami_signal::Config;
use tokio::runtime::Runtime;

use crate::harness::{Peer, TestServer, until, within};

/// A `nats-server` on a free port.
struct Nats {
    program: &'static str,
    address: SocketAddr,
    process: Child,
}

impl Nats {
    /// Nothing, with a word, where `nats-server` is not installed.
    async fn start() -> Option<Self> {
        let places = [
            "/usr/sbin/nats-server",
            "/usr/bin/nats-server",
            "/usr/local/bin/nats-server",
        ];
        let Some(program) = places.into_iter().find(|place| Path::new(place).exists()) else {
            eprintln!("skipped: nats-server is not installed (the Debian package nats-server)");
            return None;
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Self::spawn(program, address);
        let nats = Self {
            program,
            address,
            process,
        };
        nats.listens().await;
        Some(nats)
    }

    fn spawn(program: &str, address: SocketAddr) -> Child {
        Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn listens(&self) {
        within("nats-server", async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.process = Self::spawn(self.program, self.address);
        self.listens().await;
    }

    fn config(&self) -> Config {
        Config {
            nats: Some(format!("nats://{}", self.address)),
            ..Config::on_any_port()
        }
    }

    /// Servers that know each other.
    async fn servers<const N: usize>(&self) -> [Member; N] {
        let mut servers = Vec::new();
        for _ in 0..N {
            servers.push(Member::start(self.config()).await);
        }
        for server in &servers {
            until("the others", || server.hub.cluster_servers() == Some(N - 1)).await;
        }
        servers.try_into().unwrap_or_else(|_| unreachable!())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server in a runtime of its own, so that it can be killed: all at once, and nobody is told.
struct Member {
    server: TestServer,
    runtime: Option<Runtime>,
}

impl Member {
    async fn start(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.spawn(TestServer::with(config)).await.unwrap();
        let runtime = Some(runtime);
        Self { server, runtime }
    }

    fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::ops::Deref for Member {
    type Target = TestServer;

    fn deref(&self) -> &TestServer {
        &self.server
    }
}

impl Peer {
    async fn sample(&mut self, topic: &Topic) -> Vec<SessionId> {
        let topic = topic.clone();
        self.say(&ClientMessage::Join { topic: topic.clone() }).await;
        match self.receive().await {
            ServerMessage::Members { topic: of, mut peers } if of == topic => {
                peers.sort_unstable();
                peers
            }
            other => panic!("no sample: {other:?}"),
        }
    }

    /// Joins until it sees exactly these.
    async fn sees(&mut self, topic: &Topic, peers: &[&Self]) {
        let mut sessions: Vec<_> = peers.iter().map(|peer| peer.session()).collect();
        sessions.sort_unstable();
        within("everybody in the topic", async {
            while self.sample(topic).await != sessions {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    async fn relay(&mut self, to: SessionId, sealed: &str) {
        let sealed = sealed.to_owned();
        self.say(&ClientMessage::Relay { to, sealed }).await;
    }

    /// Sends to another until it arrives there.
    async fn reaches(&mut self, other: &mut Self) {
        let (from, to) = (self.session(), other.session());
        within("a relay", async {
            loop {
                self.relay(to, "sealed").await;
                tokio::select! {
                    message = other.receive() => {
                        assert_eq!(message, ServerMessage::Relayed { from, sealed: "sealed".into() });
                        return;
                    }
                    message = self.receive() => assert_eq!(message, ServerMessage::Unreachable { to }),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

fn relayed(from: &Peer, sealed: &str) -> ServerMessage {
    ServerMessage::Relayed {
        from: from.session(),
        sealed: sealed.into(),
    }
}

#[tokio::test]
async fn peers_on_different_servers_meet() {
    let Some(nats) = Nats::start().await else { return };
    let [one, two, three] = nats.servers().await;
    let lobby = Topic::lobby();
    let mut alice = Peer::welcomed(&one).await;
    let mut bob = Peer::welcomed(&two).await;
    let mut carol = Peer::welcomed(&three).await;
    assert_eq!(alice.sample(&lobby).await, []);
    assert_eq!(bob.sample(&lobby).await, [alice.session()]);
    carol.sees(&lobby, &[&alice, &bob]).await;
    alice.sees(&lobby, &[&bob, &carol]).await;

    // Carol's server knows from the sample where Alice is; Bob's has never heard of Carol.
    carol.relay(alice.session(), "x").await;
    assert_eq!(alice.receive().await, relayed(&carol, "x"));
    bob.relay(carol.session(), "y").await;
    assert_eq!(carol.receive().await, relayed(&bob, "y"));
    // Who is nowhere is unreachable, also when they were somewhere just now.
    let nobody = SessionId(Keys::generate().public_key());
    alice.relay(nobody, "x").await;
    assert_eq!(alice.receive().await, ServerMessage::Unreachable { to: nobody });
    let gone = carol.session();
    drop(carol);
    until("carol's end", || three.hub.connections() == 0).await;
    alice.relay(gone, "x").await;
    assert_eq!(alice.receive().await, ServerMessage::Unreachable { to: gone });
    alice.sees(&lobby, &[&bob]).await;
    bob.say(&ClientMessage::Leave { topic: lobby.clone() }).await;
    bob.is_served().await;
    assert_eq!(alice.sample(&lobby).await, []);
}

#[tokio::test]
async fn a_newer_connection_elsewhere_replaces_the_older() {
    let Some(nats) = Nats::start().await else { return };
    let [one, two] = nats.servers().await;
    let mut other = Peer::welcomed(&one).await;
    let mut older = Peer::welcomed(&one).await;
    // Ages are told in milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut newer = Peer::welcomed_as(&two, older.keys.clone()).await;
    assert_eq!(older.close_code().await, 4001);
    other.reaches(&mut newer).await;
    newer.is_served().await;
}

#[tokio::test]
async fn a_killed_servers_peers_come_back_elsewhere() {
    let Some(nats) = Nats::start().await else { return };
    let [one, two, three] = nats.servers().await;
    let lobby = Topic::lobby();
    let mut watcher = Peer::welcomed(&three).await;
    let mut movers = Vec::new();
    for _ in 0..10 {
        let mut mover = Peer::welcomed(&one).await;
        mover.sample(&lobby).await;
        movers.push(mover);
    }
    watcher.sees(&lobby, &movers.iter().collect::<Vec<_>>()).await;
    for mover in &mut movers {
        watcher.reaches(mover).await;
    }

    let killed = Instant::now();
    one.kill();
    let mut slowest = Duration::ZERO;
    // The last two do not come back.
    movers.truncate(8);
    for (place, mover) in movers.iter_mut().enumerate() {
        while mover.next().await.is_some() {}
        // Any of the others; a client waits for a random while before (`core::node::server`).
        let elsewhere = if place % 2 == 0 { &two } else { &three };
        *mover = Peer::welcomed_as(elsewhere, mover.keys.clone()).await;
        mover.sample(&lobby).await;
        slowest = killed.elapsed();
    }
    println!(
        "all back {} ms after the kill, without the client's wait of up to 1.5 s",
        slowest.as_millis()
    );
    watcher.sees(&lobby, &movers.iter().collect::<Vec<_>>()).await;
    for mover in &mut movers {
        watcher.reaches(mover).await;
    }
    until("that it is missed", || two.hub.cluster_servers() == Some(1)).await;
}

#[tokio::test]
async fn without_nats_a_server_goes_on_alone_and_heals_when_it_is_back() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let [one, two] = nats.servers().await;
    let lobby = Topic::lobby();
    let mut alice = Peer::welcomed(&one).await;
    let mut amy = Peer::welcomed(&one).await;
    let mut bob = Peer::welcomed(&two).await;
    amy.sample(&lobby).await;
    bob.sample(&lobby).await;
    alice.sees(&lobby, &[&amy, &bob]).await;
    alice.reaches(&mut bob).await;
    assert_eq!(one.get("/readyz").await.status(), 200);

    nats.kill();
    until("that it is missed", || {
        !one.hub.is_joined() && !two.hub.is_joined()
    })
    .await;
    assert_eq!(one.get("/readyz").await.status(), 503);
    assert_eq!(alice.sample(&lobby).await, [amy.session()]);
    alice.reaches(&mut amy).await;
    alice.relay(bob.session(), "x").await;
    assert_eq!(
        alice.receive().await,
        ServerMessage::Unreachable { to: bob.session() }
    );
    // In the meantime Amy goes to the other server: the first has not heard of it.
    let mut moved = Peer::welcomed_as(&two, amy.keys.clone()).await;
    moved.sample(&lobby).await;

    nats.restart().await;
    until("that it is back", || one.hub.is_joined() && two.hub.is_joined()).await;
    assert_eq!(amy.close_code().await, 4001, "the younger connection stays");
    alice.sees(&lobby, &[&bob, &moved]).await;
    alice.reaches(&mut moved).await;
    bob.reaches(&mut alice).await;
    assert_eq!(one.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn a_server_starts_before_nats_does() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    nats.kill();
    let one = Member::start(nats.config()).await;
    let mut alice = Peer::welcomed(&one).await;
    assert_eq!(alice.sample(&Topic::lobby()).await, []);
    nats.restart().await;
    let two = Member::start(nats.config()).await;
    let mut bob = Peer::welcomed(&two).await;
    within("each other", async {
        while bob.sample(&Topic::lobby()).await != [alice.session()] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    alice.reaches(&mut bob).await;
}

#[tokio::test]
async fn what_is_no_message_changes_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let [one, two] = nats.servers().await;
    let lobby = Topic::lobby();
    let mut alice = Peer::welcomed(&one).await;
    let mut bob = Peer::welcomed(&two).await;
    bob.sample(&lobby).await;
    let hostile = async_nats::connect(nats.address.to_string()).await.unwrap();
    let to = bob.session();
    let server = "0123456789abcdef0123456789abcdef";
    let large = "x".repeat(100_000);
    let long = "x".repeat(40_000);
    let texts = [
        String::new(),
        "{}".into(),
        "[".repeat(10_000),
        large,
        format!(
            r#"{{"server":"{server}","type":"relay","from":"{to}","to":"{to}","sealed":"{long}","search":true}}"#
        ),
        r#"{"server":"zz","type":"alive"}"#.into(),
        format!(r#"{{"server":"{server}","type":"sample","token":-1,"topic":"x"}}"#),
    ];
    let malformed = texts.len() as u64;
    let before = one.hub.metrics().cluster_malformed.get();
    for text in &texts {
        hostile
            .publish("sazanami.1.all", text.clone().into())
            .await
            .unwrap();
    }
    for told in [
        format!(
            r#"{{"server":"{server}","type":"sampled","token":0,"count":18446744073709551615,"peers":["{to}"]}}"#
        ),
        format!(r#"{{"server":"{server}","type":"found","from":"{to}","to":"{to}"}}"#),
        format!(r#"{{"server":"{server}","type":"missing","from":"{to}","to":"{server}"}}"#),
        format!(r#"{{"server":"{server}","type":"bye"}}"#),
    ] {
        hostile.publish("sazanami.1.all", told.into()).await.unwrap();
    }
    hostile
        .publish("sazanami.1.to.x.say", "nobody".into())
        .await
        .unwrap();
    hostile.flush().await.unwrap();
    // One of the well-formed ones names a session that is none.
    until("all of it", || {
        one.hub.metrics().cluster_malformed.get() - before == malformed + 1
    })
    .await;
    alice.sees(&lobby, &[&bob]).await;
    alice.reaches(&mut bob).await;
    until("that the liar is forgotten", || {
        one.hub.cluster_servers() == Some(1)
    })
    .await;
}
