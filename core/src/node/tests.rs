//! A node between a hostile signal server and a transport played by hand.

use std::time::Duration;

use nostr::prelude::Keys;

use super::api::{Command, FromNode, Reply, Request, RequestError};
use super::*;
use crate::identity::{self, MemoryVault};
use crate::signaling::introduction::{self, Body, Introduction, LIFETIME_MS};
use crate::signaling::{ClientMessage, ErrorCode, PeerSignal, ServerMessage};
use crate::social::TextError;
use crate::store::MemoryStore;

const NOW: Millis = Millis(1_700_000_000_000);
/// The only server.
const SERVER: ServerId = ServerId(0);

fn node(seed: u8) -> Node<MemoryStore> {
    let config = Config {
        servers: vec!["https://sazanami.example".parse().unwrap()],
        route: Some(Route::Any),
        verifiers: 0,
        seed: [seed; 32],
    };
    Node::new(
        config,
        MemoryStore::default(),
        Box::new(MemoryVault::default()),
        NOW,
    )
    .unwrap()
}

fn ask(node: &mut Node<MemoryStore>, command: Command) -> Result<Reply, RequestError> {
    node.handle(
        Input::Request(Request {
            id: 1,
            key: None,
            command,
        }),
        NOW,
    );
    let replies: Vec<_> = outputs(node)
        .into_iter()
        .filter_map(|output| match output {
            Output::Interface(FromNode::Reply { id: 1, result }) => Some(result),
            _ => None,
        })
        .collect();
    let [reply] = replies.as_slice() else {
        panic!("one reply, not {replies:?}")
    };
    reply.clone()
}

fn outputs(node: &mut Node<MemoryStore>) -> Vec<Output> {
    std::iter::from_fn(|| node.poll_output()).collect()
}

/// A node that is somebody and welcome at the server.
fn online(seed: u8) -> Node<MemoryStore> {
    let mut node = node(seed);
    ask(&mut node, Command::SignUp { name: "波".into() }).unwrap();
    node.handle(Input::Signal(SERVER, SignalEvent::Opened), NOW);
    hear(
        &mut node,
        &ServerMessage::Challenge {
            challenge: "c".into(),
            now: None,
        },
        NOW,
    );
    hear(&mut node, &ServerMessage::Welcome { servers: Vec::new() }, NOW);
    let servers = IceServers {
        ice_servers: Vec::new(),
        ttl: 600,
    };
    node.handle(Input::IceServers(SERVER, Ok(servers)), NOW);
    outputs(&mut node);
    node
}

fn hear(node: &mut Node<MemoryStore>, message: &ServerMessage, now: Millis) {
    node.handle(
        Input::Signal(
            SERVER,
            SignalEvent::Message(serde_json::to_string(message).unwrap()),
        ),
        now,
    );
}

/// The links that the outputs open, and the signals they hand over.
fn effects(node: &mut Node<MemoryStore>) -> (Vec<LinkId>, usize) {
    let (mut opened, mut signals) = (Vec::new(), 0);
    for output in outputs(node) {
        match output {
            Output::Transport(TransportCommand::Connect { link, .. }) => opened.push(link),
            Output::Transport(TransportCommand::Signal { .. }) => signals += 1,
            _ => {}
        }
    }
    (opened, signals)
}

/// Somebody who introduces themselves by hand.
struct Stranger {
    session: Keys,
    person: Keys,
}

impl Stranger {
    fn new() -> Self {
        Self {
            session: Keys::generate(),
            person: Keys::generate(),
        }
    }

    fn id(&self) -> SessionId {
        SessionId(self.session.public_key())
    }

    fn offer(&self, to: SessionId) -> Introduction {
        Introduction {
            from_attempt: 9,
            to_attempt: None,
            sequence: 1,
            expires: Millis(NOW.0 + LIFETIME_MS),
            proof: Some(Box::new(identity::prove(&self.person, self.id(), to, "9", NOW))),
            links: 0,
            body: Body::Signal(PeerSignal::Offer("v=0".into())),
        }
    }

    fn say(&self, introduction: &Introduction, to: SessionId) -> ServerMessage {
        let sealed = introduction::seal(introduction, &self.session, to).unwrap();
        ServerMessage::Relayed {
            from: self.id(),
            sealed,
        }
    }
}

#[test]
fn an_offer_opens_one_link_however_often_it_is_repeated() {
    let (mut node, stranger) = (online(1), Stranger::new());
    let offer = stranger.say(&stranger.offer(node.session_id()), node.session_id());
    hear(&mut node, &offer, NOW);
    let (opened, signals) = effects(&mut node);
    assert_eq!((opened.len(), signals), (1, 1));
    for _ in 0..10 {
        hear(&mut node, &offer, NOW);
    }
    assert_eq!(effects(&mut node), (vec![], 0), "repeated");

    let closed = TransportEvent::Closed {
        link: opened[0],
        reason: crate::transport::CloseReason::Remote,
    };
    node.handle(Input::Transport(closed), NOW);
    hear(&mut node, &offer, NOW);
    assert_eq!(
        effects(&mut node),
        (vec![], 0),
        "repeated after the link has ended"
    );
}

#[test]
fn what_does_not_hold_opens_nothing() {
    let mut node = online(1);
    let (stranger, other, own) = (Stranger::new(), Stranger::new(), node.session_id());
    let offer = stranger.offer(own);
    let sealed = introduction::seal(&offer, &stranger.session, own).unwrap();
    let mut flipped = sealed.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    let stolen = Introduction {
        ..stranger.offer(own)
    };
    let unproven = Introduction {
        proof: None,
        ..stranger.offer(own)
    };
    let for_another = stranger.offer(other.id());
    let expired = Introduction {
        expires: Millis(0),
        ..stranger.offer(own)
    };
    let answer = Introduction {
        body: Body::Signal(PeerSignal::Answer("v=0".into())),
        ..stranger.offer(own)
    };
    for message in [
        ServerMessage::Relayed {
            from: other.id(),
            sealed: sealed.clone(),
        },
        ServerMessage::Relayed {
            from: own,
            sealed: sealed.clone(),
        },
        ServerMessage::Relayed {
            from: stranger.id(),
            sealed: String::from_utf8(flipped).unwrap(),
        },
        ServerMessage::Relayed {
            from: stranger.id(),
            sealed: String::new(),
        },
        ServerMessage::Relayed {
            from: stranger.id(),
            sealed: "A".repeat(20_000),
        },
        other.say(&stolen, own),
        stranger.say(&unproven, own),
        stranger.say(&for_another, own),
        stranger.say(&expired, own),
        stranger.say(&answer, own),
        ServerMessage::Unreachable { to: stranger.id() },
    ] {
        hear(&mut node, &message, NOW);
        assert_eq!(effects(&mut node), (vec![], 0), "{message:?}");
    }
    hear(&mut node, &stranger.say(&offer, own), NOW);
    assert_eq!(effects(&mut node).0.len(), 1, "the honest one does");
}

#[test]
fn server_garbage_is_survived() {
    let mut node = online(1);
    for text in [
        "",
        "{",
        "null",
        r#"{"type":"future"}"#,
        r#"{"type":"members","topic":"x","peers":[]}"#,
        &"x".repeat(50_000),
    ] {
        node.handle(Input::Signal(SERVER, SignalEvent::Message(text.to_owned())), NOW);
    }
    assert!(matches!(ask(&mut node, Command::Me), Ok(Reply::Me(Some(_)))));
}

#[test]
fn nobody_is_contacted_before_there_is_an_identity() {
    let mut node = node(1);
    assert!(outputs(&mut node).is_empty());
    node.handle(Input::Tick, NOW + Duration::from_secs(100));
    assert!(outputs(&mut node).is_empty());
    node.handle(
        Input::Request(Request {
            id: 1,
            key: None,
            command: Command::SignUp { name: "波".into() },
        }),
        NOW,
    );
    let connects = outputs(&mut node)
        .iter()
        .any(|output| matches!(output, Output::Signal(_, SignalCommand::Connect(_))));
    assert!(connects);
}

#[test]
fn the_server_is_tried_again_later_and_later() {
    let mut node = node(1);
    ask(&mut node, Command::SignUp { name: "波".into() }).unwrap();
    let (mut now, mut waits) = (NOW, Vec::new());
    for _ in 0..8 {
        node.handle(Input::Signal(SERVER, SignalEvent::Closed("refused".into())), now);
        outputs(&mut node);
        let start = now;
        loop {
            now = node.next_tick();
            node.handle(Input::Tick, now);
            if outputs(&mut node)
                .iter()
                .any(|output| matches!(output, Output::Signal(_, SignalCommand::Connect(_))))
            {
                break;
            }
        }
        waits.push(now.since(start));
    }
    assert!(
        waits[0] <= Duration::from_secs(3) && waits[7] >= Duration::from_secs(10),
        "{waits:?}"
    );
    assert!(
        waits.iter().all(|wait| *wait <= Duration::from_secs(60)),
        "{waits:?}"
    );
}

#[test]
fn the_session_key_is_all_that_the_server_sees() {
    let mut node = online(1);
    let stranger = Stranger::new();
    let offer = stranger.say(&stranger.offer(node.session_id()), node.session_id());
    hear(&mut node, &offer, NOW);
    let answer = PeerSignal::Answer("v=0 fingerprint".into());
    node.handle(
        Input::Transport(TransportEvent::Signal {
            link: LinkId(1),
            signal: answer,
        }),
        NOW,
    );
    let sent: Vec<String> = outputs(&mut node)
        .into_iter()
        .filter_map(|output| match output {
            Output::Signal(_, SignalCommand::Send(text)) => Some(text),
            _ => None,
        })
        .collect();
    let relays = sent
        .iter()
        .filter(|text| matches!(serde_json::from_str(text), Ok(ClientMessage::Relay { .. })))
        .count();
    assert_eq!(relays, 1);
    let Ok(Reply::Me(Some(me))) = ask(&mut node, Command::Me) else {
        panic!("no identity")
    };
    for text in sent {
        assert!(
            !text.contains(&me.key.to_hex()) && !text.contains("fingerprint") && !text.contains("波"),
            "{text}"
        );
    }
}

#[test]
fn own_notes_keep_their_order_within_a_second() {
    let mut node = online(1);
    for n in 0..5 {
        ask(&mut node, Command::Post { text: format!("{n}") }).unwrap();
    }
    let everyone = Command::Timeline {
        scope: crate::store::Scope::Everyone,
        before: None,
        limit: 10,
    };
    let Ok(Reply::Page(page)) = ask(&mut node, everyone) else {
        panic!("no page")
    };
    let texts: Vec<_> = page.notes.iter().map(|note| note.content.as_str()).collect();
    assert_eq!(texts, ["4", "3", "2", "1", "0"]);
    assert_eq!(page.notes[0].author_name.as_deref(), Some("波"));
}

#[test]
fn requests_that_cannot_be_done_say_why() {
    let mut fresh = node(1);
    assert_eq!(
        ask(&mut fresh, Command::Post { text: "x".into() }),
        Err(RequestError::NoIdentity)
    );
    assert_eq!(
        ask(&mut fresh, Command::Import { nsec: "x".into() }),
        Err(RequestError::NotAKey)
    );
    assert_eq!(
        ask(&mut fresh, Command::SignUp { name: " ".into() }),
        Err(RequestError::Text(TextError::Empty))
    );
    let mut node = online(2);
    assert_eq!(
        ask(&mut node, Command::SignUp { name: "x".into() }),
        Err(RequestError::AlreadySignedUp)
    );
    let foreign = nostr::prelude::EventId::from_byte_array([1; 32]);
    assert_eq!(
        ask(&mut node, Command::Delete(foreign)),
        Err(RequestError::NotYours)
    );
    let big = Command::SetSetting {
        name: "draft".into(),
        value: Some("x".repeat(70_000)),
    };
    assert_eq!(ask(&mut node, big), Err(RequestError::Text(TextError::TooLong)));
}

#[test]
fn follow_rename_and_delete_are_seen_at_once() {
    let mut node = online(1);
    let friend = Keys::generate().public_key();
    for (follow, expected) in [(true, true), (true, true), (false, false)] {
        ask(
            &mut node,
            Command::Follow {
                person: friend,
                follow,
            },
        )
        .unwrap();
        let Ok(Reply::Person(person)) = ask(&mut node, Command::Person(friend)) else {
            panic!("no person")
        };
        assert_eq!(person.followed, expected);
    }
    ask(&mut node, Command::Rename { name: "海".into() }).unwrap();
    let Ok(Reply::Me(Some(me))) = ask(&mut node, Command::Me) else {
        panic!("no identity")
    };
    assert_eq!(me.name.as_deref(), Some("海"));
    let Ok(Reply::Posted(note)) = ask(&mut node, Command::Post { text: "oops".into() }) else {
        panic!("not posted")
    };
    assert_eq!(ask(&mut node, Command::Delete(note.id)), Ok(Reply::Done));
    assert_eq!(ask(&mut node, Command::Note(note.id)), Ok(Reply::Note(None)));
}

#[test]
fn a_new_note_changes_its_authors_count() {
    let mut node = online(1);
    let post = Command::Post {
        text: "さざなみ".into(),
    };
    node.handle(
        Input::Request(Request {
            id: 1,
            key: None,
            command: post,
        }),
        NOW,
    );
    let told = |output: &Output| {
        matches!(
            output,
            Output::Interface(FromNode::Changed(api::Change::Person(_)))
        )
    };
    assert_eq!(outputs(&mut node).into_iter().filter(told).count(), 1);
    let Ok(Reply::Me(Some(me))) = ask(&mut node, Command::Me) else {
        panic!("no identity")
    };
    assert_eq!(me.notes, 1);
}

#[test]
fn an_imported_follow_list_is_not_replaced_before_it_has_arrived() {
    let mut node = node(1);
    let nsec = identity::nsec(&Keys::generate());
    ask(&mut node, Command::Import { nsec }).unwrap();
    let friend = Keys::generate().public_key();
    let follow = Command::Follow {
        person: friend,
        follow: true,
    };
    assert_eq!(ask(&mut node, follow.clone()), Err(RequestError::NotYetSynced));
    assert_eq!(
        ask(&mut node, Command::Rename { name: "波".into() }),
        Err(RequestError::NotYetSynced)
    );
    node.session_event(LinkId(1), crate::sync::SessionEvent::Live, NOW)
        .unwrap();
    assert_eq!(ask(&mut node, follow), Ok(Reply::Done));
}

#[test]
fn an_offer_that_was_withheld_does_not_end_a_newer_link() {
    let (mut node, stranger) = (online(1), Stranger::new());
    let own = node.session_id();
    let newer = Introduction {
        from_attempt: 10,
        expires: Millis(NOW.0 + LIFETIME_MS),
        proof: Some(Box::new(identity::prove(
            &stranger.person,
            stranger.id(),
            own,
            "10",
            NOW,
        ))),
        ..stranger.offer(own)
    };
    hear(&mut node, &stranger.say(&newer, own), NOW);
    assert_eq!(effects(&mut node).0.len(), 1);
    let withheld = Introduction {
        expires: Millis(NOW.0 + LIFETIME_MS - 30_000),
        ..stranger.offer(own)
    };
    hear(&mut node, &stranger.say(&withheld, own), NOW);
    assert_eq!(effects(&mut node), (vec![], 0));
}

#[test]
fn offers_alone_take_few_places() {
    let mut node = online(1);
    let own = node.session_id();
    for _ in 0..30 {
        let stranger = Stranger::new();
        hear(&mut node, &stranger.say(&stranger.offer(own), own), NOW);
    }
    assert_eq!(effects(&mut node).0.len(), 4);
}

#[test]
fn what_repairs_a_link_waits_for_the_server() {
    let (mut node, stranger) = (online(1), Stranger::new());
    let own = node.session_id();
    hear(&mut node, &stranger.say(&stranger.offer(own), own), NOW);
    node.handle(Input::Signal(SERVER, SignalEvent::Closed("gone".into())), NOW);
    outputs(&mut node);
    let answer = PeerSignal::Answer("v=0".into());
    node.handle(
        Input::Transport(TransportEvent::Signal {
            link: LinkId(1),
            signal: answer,
        }),
        NOW,
    );
    let sends = |node: &mut Node<MemoryStore>| {
        let sent = outputs(node).into_iter().filter(
            |output| matches!(output, Output::Signal(_, SignalCommand::Send(text)) if text.contains("relay")),
        );
        sent.count()
    };
    assert_eq!(sends(&mut node), 0);
    // It is called again.
    let later = NOW + Duration::from_secs(2);
    node.handle(Input::Tick, later);
    hear(&mut node, &ServerMessage::Welcome { servers: Vec::new() }, later);
    assert_eq!(sends(&mut node), 1);
}

#[test]
fn a_refusal_is_shown_until_the_server_is_well_again() {
    let mut node = online(1);
    let refused = |node: &mut Node<MemoryStore>| match ask(node, Command::Network) {
        Ok(Reply::Network(network)) => network.refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut node), None);
    let code = ErrorCode::TooManyTopics;
    let message = "at most 64 topics".to_owned();
    hear(&mut node, &ServerMessage::Error { code, message }, NOW);
    assert_eq!(refused(&mut node), Some(code));
    hear(&mut node, &ServerMessage::Pong, NOW);
    assert_eq!(refused(&mut node), None);
}

/// A request that may have been asked before.
fn ask_as(node: &mut Node<MemoryStore>, key: u8, command: Command) -> Result<Reply, RequestError> {
    node.handle(
        Input::Request(Request {
            id: 1,
            key: Some(RequestKey([key; 16])),
            command,
        }),
        NOW,
    );
    let reply = outputs(node).into_iter().find_map(|output| match output {
        Output::Interface(FromNode::Reply { id: 1, result }) => Some(result),
        _ => None,
    });
    reply.expect("a reply")
}

/// Another node on the same store and key, as when another tab takes over.
fn successor(node: Node<MemoryStore>) -> Node<MemoryStore> {
    let config = node.config.clone();
    let (store, vault) = node.into_parts();
    Node::new(config, store, vault, NOW).unwrap()
}

#[test]
fn a_request_that_is_asked_again_of_the_next_node_writes_once() {
    let mut node = node(1);
    let sign_up = Command::SignUp { name: "波".into() };
    let me = ask_as(&mut node, 1, sign_up.clone());
    let mut node = successor(node);
    assert_eq!(ask_as(&mut node, 1, sign_up.clone()), me, "one person");
    assert_eq!(ask_as(&mut node, 2, sign_up), Err(RequestError::AlreadySignedUp));
    let Ok(Reply::Posted(first)) = ask_as(&mut node, 3, Command::Post { text: "一".into() }) else {
        panic!("not posted")
    };
    let steps = [
        (4, Command::Post { text: "二".into() }),
        (
            5,
            Command::Answer {
                to: first.id,
                text: "三".into(),
            },
        ),
        (
            6,
            Command::Quote {
                of: first.id,
                text: "四".into(),
            },
        ),
        (7, Command::Repost(first.id)),
        (
            8,
            Command::React {
                to: first.id,
                content: "+".into(),
            },
        ),
        (9, Command::Rename { name: "海".into() }),
        (10, Command::Delete(first.id)),
    ];
    for (key, command) in steps {
        let reply = ask_as(&mut node, key, command.clone());
        assert!(reply.is_ok(), "{command:?}: {reply:?}");
        let events = node.store().events_after(None, 100).unwrap().len();
        node = successor(node);
        assert_eq!(ask_as(&mut node, key, command.clone()), reply, "{command:?}");
        let after = node.store().events_after(None, 100).unwrap().len();
        assert_eq!(after, events, "{command:?} is carried out once");
    }
}

mod routes;
mod servers;
