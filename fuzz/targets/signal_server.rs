//! The signal server's hub and its connections: any frames from several clients, some of them welcomed.
#![no_main]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sazanami_core::signaling::{ClientMessage, MAX_SAMPLE, ServerMessage, Topic, hello_proof};
use sazanami_fuzz::{PEOPLE, START, person, session};
use sazanami_signal::Limits;
use sazanami_signal::connection::{Connection, Frame};
use sazanami_signal::hub::Hub;
use sazanami_signal::outbox::Next;

const CLIENTS: usize = 6;

#[derive(arbitrary::Arbitrary, Debug)]
struct Step {
    client: u8,
    what: What,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum What {
    Open(u8),
    Close,
    Hello { who: u8, good: bool, version: u8 },
    Join(u8),
    Leave(u8),
    Relay { to: u8, length: u16 },
    Ping,
    Text(String),
    Long(u8, u16),
    Binary(u16),
    Control(u16),
    TooLarge,
    Repeat(String, u8),
    Wait(u16),
    Read,
}

fuzz_target!(|steps: Vec<Step>| {
    let limits = Limits {
        connections: 5,
        connections_per_address: 3,
        topics: 4,
        ..Limits::for_listener(IpAddr::from([192, 0, 2, 1]))
    };
    let hub = Arc::new(Hub::new(limits.clone(), [7; 32]));
    let mut clients: Vec<Option<Connection>> = (0..CLIENTS).map(|_| None).collect();
    let mut now = START;
    for step in steps.into_iter().take(256) {
        let slot = &mut clients[usize::from(step.client) % CLIENTS];
        match step.what {
            What::Open(address) => {
                *slot = None;
                let address = IpAddr::from([198, 51, 100, address % 3]);
                *slot = Connection::open(Arc::clone(&hub), address.into(), "abc".to_owned(), now).ok();
            }
            What::Close => *slot = None,
            What::Wait(millis) => {
                now = now + Duration::from_millis(u64::from(millis));
                clients
                    .iter_mut()
                    .flatten()
                    .for_each(|client| client.timeout(now));
            }
            what => {
                if let Some(client) = slot {
                    act(client, what, now);
                }
            }
        }
        let open = clients.iter().flatten().count();
        assert_eq!(hub.connections(), open, "the hub counts wrongly");
        assert!(open <= limits.connections && hub.topics() <= limits.topics * open);
    }
    clients.clear();
    assert_eq!(
        (hub.connections(), hub.topics()),
        (0, 0),
        "something of the dead is kept"
    );
});

fn act(client: &mut Connection, what: What, now: sazanami_core::time::Millis) {
    match what {
        What::Hello { who, good, version } => {
            let challenge = if good { "abc" } else { "x" };
            say(
                client,
                &ClientMessage::Hello {
                    version: u32::from(version % 4),
                    proof: Box::new(hello_proof(&person(who % PEOPLE), challenge, now)),
                },
                now,
            );
        }
        What::Join(topic) => say(
            client,
            &ClientMessage::Join {
                topic: topic_of(topic),
            },
            now,
        ),
        What::Leave(topic) => say(
            client,
            &ClientMessage::Leave {
                topic: topic_of(topic),
            },
            now,
        ),
        What::Relay { to, length } => {
            let sealed = "A".repeat(usize::from(length));
            say(
                client,
                &ClientMessage::Relay {
                    to: session(to),
                    sealed,
                },
                now,
            );
        }
        What::Ping => say(client, &ClientMessage::Ping, now),
        What::Text(text) => client.handle(Frame::Text(&text), now),
        What::Long(byte, length) => {
            client.handle(
                Frame::Text(&char::from(byte % 128).to_string().repeat(length.into())),
                now,
            );
        }
        What::Binary(size) => client.handle(Frame::Binary(size.into()), now),
        What::Control(size) => client.handle(Frame::Control(size.into()), now),
        What::TooLarge => client.handle(Frame::TooLarge, now),
        What::Repeat(text, times) => (0..times).for_each(|_| client.handle(Frame::Text(&text), now)),
        What::Read => read(client),
        What::Open(_) | What::Close | What::Wait(_) => {}
    }
}

fn say(client: &mut Connection, message: &ClientMessage, now: sazanami_core::time::Millis) {
    let text = serde_json::to_string(message).expect("every message has a JSON form");
    client.handle(Frame::Text(&text), now);
}

fn read(client: &Connection) {
    let limits = Limits::for_listener(IpAddr::from([192, 0, 2, 1]));
    let mut bytes = 0;
    let mut messages = 0;
    while let Some(Next::Message(text)) = client.outbox().try_next() {
        bytes += text.len();
        messages += 1;
        let message: ServerMessage = serde_json::from_str(&text).expect("a client can read it");
        if let ServerMessage::Members { peers, .. } = message {
            assert!(peers.len() <= MAX_SAMPLE);
        }
    }
    assert!(bytes <= limits.queue_bytes && messages <= limits.queue_messages);
}

fn topic_of(n: u8) -> Topic {
    Topic::derive(&[n % 8])
}
