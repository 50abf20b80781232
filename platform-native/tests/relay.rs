//! The headless peer as a relay, over real sockets: what a Nostr client sees of it, and what hostile ones do not get.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{SinkExt, StreamExt};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use nostr::prelude::{
    ClientMessage, Event, EventBuilder, EventId, Filter, FinalizeEvent, Keys, Kind, SubscriptionId, Tag,
    Timestamp,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Nothing here takes a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A running peer.
struct Peer {
    process: Child,
    /// `ADDRESS:PORT`.
    address: String,
}

impl Peer {
    fn start(data_dir: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sazanami-peer"))
            .args([
                "--signal",
                "http://127.0.0.1:9",
                "--name",
                "relay",
                "--relay",
                "0",
            ])
            .args(["--log-format", "json", "--data-dir"])
            .arg(data_dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find(|line| line["fields"]["message"] == "relay")
            .map(|line| line["fields"]["address"].as_str().unwrap().to_owned())
            .expect("it says where it listens");
        // Nobody reads on: a full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, address }
    }

    async fn connect(&self) -> Client {
        // The address is taken before the node answers; a connection waits for it.
        let (socket, _) = timeout(LIMIT, connect_async(format!("ws://{}", self.address)))
            .await
            .unwrap()
            .unwrap();
        Client(socket)
    }

    async fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(LIMIT, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        answer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The hard way: what was said to be kept is on disk.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client's connection.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message; `None` when the connection is closed.
    async fn try_hear(&mut self) -> Option<Value> {
        loop {
            match timeout(LIMIT, self.0.next()).await.expect("an answer in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn hear(&mut self) -> Value {
        self.try_hear().await.expect("the connection is open")
    }

    async fn publish(&mut self, event: &Event) -> (bool, String) {
        self.say(ClientMessage::event(event.clone()).as_json()).await;
        let answer = self.hear().await;
        assert_eq!(
            (&answer[0], &answer[1]),
            (&json!("OK"), &json!(event.id.to_hex()))
        );
        (
            answer[2].as_bool().unwrap(),
            answer[3].as_str().unwrap().to_owned(),
        )
    }

    /// The stored events that match.
    async fn query(&mut self, filter: Filter) -> Vec<Event> {
        self.say(ClientMessage::req(SubscriptionId::new("query"), vec![filter]).as_json())
            .await;
        let mut events = Vec::new();
        loop {
            let message = self.hear().await;
            match message[0].as_str() {
                Some("EVENT") => events.push(serde_json::from_value(message[2].clone()).unwrap()),
                Some("EOSE") => break,
                _ => panic!("{message}"),
            }
        }
        self.say(r#"["CLOSE","query"]"#).await;
        events
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn note(author: &Keys, text: &str, age: u64) -> Event {
    EventBuilder::new(Kind::TextNote, text)
        .custom_created_at(Timestamp::from(now() - age))
        .finalize(author)
        .unwrap()
}

#[tokio::test]
async fn what_is_published_is_found_by_every_filter_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (author, other) = (Keys::generate(), Keys::generate());
    let root = note(&author, "さざなみ", 5_000);
    let reply = EventBuilder::new(Kind::TextNote, "reply #nostr")
        .tags([
            Tag::event(root.id),
            Tag::public_key(author.public_key()),
            Tag::hashtag("nostr"),
        ])
        .finalize(&other)
        .unwrap();
    let profile = EventBuilder::new(Kind::Metadata, r#"{"name":"Aoi"}"#)
        .finalize(&author)
        .unwrap();
    let peer = Peer::start(folder.path());
    let mut client = peer.connect().await;
    for event in [&root, &reply, &profile] {
        assert_eq!(client.publish(event).await, (true, String::new()));
    }
    assert!(client.publish(&root).await.1.starts_with("duplicate: "));
    drop(peer);
    let peer = Peer::start(folder.path());
    let mut client = peer.connect().await;
    for (filter, expected) in [
        (Filter::new().id(root.id), vec![&root]),
        (
            Filter::new().author(author.public_key()).kind(Kind::Metadata),
            vec![&profile],
        ),
        (
            Filter::new().author(author.public_key()).kind(Kind::TextNote),
            vec![&root],
        ),
        (Filter::new().kind(Kind::TextNote), vec![&reply, &root]),
        (Filter::new().kind(Kind::TextNote).limit(1), vec![&reply]),
        (Filter::new().event(root.id), vec![&reply]),
        (
            Filter::new().pubkey(author.public_key()).hashtag("nostr"),
            vec![&reply],
        ),
        (Filter::new().hashtag("other"), vec![]),
        (
            Filter::new()
                .kind(Kind::TextNote)
                .until(Timestamp::from(now() - 4_000)),
            vec![&root],
        ),
    ] {
        let found = client.query(filter.clone()).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_subscriber_hears_what_another_client_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let (mut reader, mut writer) = (peer.connect().await, peer.connect().await);
    let author = Keys::generate();
    let filter = Filter::new().author(author.public_key());
    reader
        .say(ClientMessage::req(SubscriptionId::new("live"), vec![filter]).as_json())
        .await;
    assert_eq!(reader.hear().await, json!(["EOSE", "live"]));
    assert!(
        writer
            .publish(&note(&Keys::generate(), "of somebody else", 0))
            .await
            .0
    );
    let event = note(&author, "now", 0);
    assert!(writer.publish(&event).await.0);
    assert_eq!(
        reader.hear().await,
        json!(["EVENT", "live", serde_json::to_value(&event).unwrap()])
    );
}

#[tokio::test]
async fn a_client_syncs_both_ways_with_the_reference_of_negentropy() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let mut client = peer.connect().await;
    let author = Keys::generate();
    let events: Vec<Event> = (0..300)
        .map(|n| note(&author, &format!("{n}"), 2_000 + n % 50))
        .collect();
    // Pipelined: the answers come as they come.
    for event in &events[..250] {
        client
            .0
            .feed(Message::text(ClientMessage::event(event.clone()).as_json()))
            .await
            .unwrap();
    }
    client.0.flush().await.unwrap();
    for _ in 0..250 {
        assert_eq!(client.hear().await[2], true);
    }
    // The client has the last two hundred.
    let mut own = NegentropyStorageVector::new();
    for event in &events[100..] {
        own.insert(
            event.created_at.as_secs(),
            Id::from_byte_array(*event.id.as_bytes()),
        )
        .unwrap();
    }
    own.seal().unwrap();
    let mut negentropy = Negentropy::owned(own, 60_000).unwrap();
    let filter = Filter::new().author(author.public_key());
    let first = negentropy.initiate().unwrap();
    let open = ClientMessage::neg_open(SubscriptionId::new("sync"), filter, hex(&first));
    client.say(open.as_json()).await;
    let (mut have, mut need) = (Vec::new(), Vec::new());
    loop {
        let answer = client.hear().await;
        assert_eq!(answer[0], "NEG-MSG", "{answer}");
        let message = unhex(answer[2].as_str().unwrap());
        match negentropy
            .reconcile_with_ids(&message, &mut have, &mut need)
            .unwrap()
        {
            Some(next) => {
                client
                    .say(format!(r#"["NEG-MSG","sync","{}"]"#, hex(&next)))
                    .await;
            }
            None => break,
        }
    }
    client.say(r#"["NEG-CLOSE","sync"]"#).await;
    let ids = |ids: Vec<Id>| -> std::collections::BTreeSet<EventId> {
        ids.into_iter()
            .map(|id| EventId::from_byte_array(id.to_bytes()))
            .collect()
    };
    assert_eq!(
        ids(need.clone()),
        events[..100].iter().map(|event| event.id).collect()
    );
    assert_eq!(ids(have), events[250..].iter().map(|event| event.id).collect());
    let missing = client.query(Filter::new().ids(ids(need))).await;
    assert_eq!(missing.len(), 100);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[tokio::test]
async fn bad_events_are_refused_in_words_and_harm_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let mut client = peer.connect().await;
    let author = Keys::generate();
    let good = note(&author, "good", 0);
    let mut forged = good.clone();
    forged.content = "forged".to_owned();
    let signed = |kind: u16, age: i64| {
        let at = Timestamp::from(now().checked_add_signed(-age).unwrap());
        EventBuilder::new(Kind::from(kind), "x")
            .custom_created_at(at)
            .finalize(&author)
            .unwrap()
    };
    for (event, prefix) in [
        (forged, "invalid: "),
        (signed(1, -5_000), "invalid: "),
        (signed(4_242, 0), "blocked: "),
    ] {
        let (accepted, reason) = client.publish(&event).await;
        assert!(!accepted && reason.starts_with(prefix), "{reason}");
    }
    client.say("garbage").await;
    assert_eq!(client.hear().await[0], "NOTICE");
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.hear().await[0], "NOTICE");
    assert_eq!(client.publish(&good).await, (true, String::new()));
    // Whoever goes on is let go, and others are not.
    for _ in 0..200 {
        if client.0.feed(Message::text("garbage")).await.is_err() {
            break;
        }
    }
    let _ = client.0.flush().await;
    while client.try_hear().await.is_some() {}
}

#[tokio::test]
async fn too_large_a_message_ends_the_connection_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let (mut large, mut other) = (peer.connect().await, peer.connect().await);
    // It may be closed before all of it is sent.
    let _ = large.0.send(Message::text("x".repeat(1024 * 1024))).await;
    assert_eq!(large.try_hear().await, None);
    assert!(other.publish(&note(&Keys::generate(), "still here", 0)).await.0);
}

#[tokio::test]
async fn one_address_gets_a_bounded_number_of_connections() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = peer.connect().await;
        client.say(r#"["REQ","a",{"limit":0}]"#).await;
        assert_eq!(client.hear().await, json!(["EOSE", "a"]));
        clients.push(client);
    }
    assert_eq!(peer.connect().await.try_hear().await, None, "one more is closed");
    clients.pop();
    // The end of a connection is noticed soon, not at once.
    let again = async {
        loop {
            let mut client = peer.connect().await;
            // It may be closed by then.
            let _ = client.0.send(Message::text(r#"["REQ","a",{"limit":0}]"#)).await;
            if client.try_hear().await.is_some() {
                return;
            }
        }
    };
    timeout(LIMIT, again)
        .await
        .expect("a place that is free is given");
}

#[tokio::test]
async fn it_says_what_it_is_to_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::start(folder.path());
    let asked = "GET / HTTP/1.1\r\nHost: x\r\nAccept: application/nostr+json\r\n\r\n";
    let answer = peer.http(asked).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("access-control-allow-origin: *"),
        "{head}"
    );
    let document: Value = serde_json::from_str(body).unwrap();
    assert!(
        document["supported_nips"]
            .as_array()
            .unwrap()
            .contains(&json!(77))
    );
    let answer = peer.http("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.contains("Nostr client"), "{answer}");
    let answer = peer
        .http("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn an_address_that_is_taken_or_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (relay, code) in [(address.as_str(), 1), ("nowhere", 2), ("127.0.0.1", 2)] {
        let output = Command::new(env!("CARGO_BIN_EXE_sazanami-peer"))
            .args([
                "--signal",
                "http://127.0.0.1:9",
                "--name",
                "x",
                "--relay",
                relay,
                "--data-dir",
            ])
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{relay}");
        assert!(
            String::from_utf8(output.stderr).unwrap().contains("--relay"),
            "{relay}"
        );
    }
}
