//! Every message between page and worker arrives as it was sent.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used)]

use sazanami_core::Keys;
use sazanami_core::mesh::LinkBudget;
use sazanami_core::node::api::{
    Change, Command, FromNode, Network, Peer, PeerState, Person, Reply, Request, RequestError, RingRoute,
    Routes, Secret, SignalState,
};
use sazanami_core::node::{Input, Output, ServerId, SignalCommand, SignalEvent};
use sazanami_core::signaling::{IceServer, IceServers, PeerSignal, SessionId};
use sazanami_core::social::{Ring, TextError};
use sazanami_core::store::{Cursor, Note, Page, RequestKey, Scope};
use sazanami_core::transport::{
    CloseReason, ConnectOptions, LinkId, MAX_FRAME, Path, PathKind, Route, TransportCommand, TransportEvent,
};
use sazanami_core::{EventId, PublicKey};
use sazanami_web::bridge::{self, FromVerifier, FromWorker, Message, State, ToVerifier, ToWorker};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

fn id() -> EventId {
    EventId::from_byte_array([7; 32])
}

fn key() -> PublicKey {
    Keys::parse(&"1".repeat(64)).unwrap().public_key()
}

fn note() -> Note {
    Note {
        id: id(),
        author: key(),
        author_name: Some("波".into()),
        created_at: u64::MAX,
        content: "さざなみ\n🌊".into(),
        references: Default::default(),
        counts: Default::default(),
        repost: None,
    }
}

fn person() -> Person {
    Person {
        key: key(),
        npub: "npub1".into(),
        name: None,
        me: true,
        followed: false,
        notes: 3,
        follows: 0,
    }
}

fn server() -> IceServers {
    let stun = IceServer {
        urls: vec!["stun:a".into()],
        username: None,
        credential: None,
    };
    let turn = IceServer {
        urls: vec!["turn:b".into()],
        username: Some("u".into()),
        credential: Some("c".into()),
    };
    IceServers {
        ice_servers: vec![stun, turn],
        ttl: 60,
    }
}

fn candidate(mid: Option<&str>, line: Option<u16>) -> PeerSignal {
    PeerSignal::Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: mid.map(Into::into),
        sdp_m_line_index: line,
    }
}

/// Messages have no equality: their debug form tells them apart.
fn arrives<M: Message + std::fmt::Debug>(message: M) {
    let (buffer, _) = bridge::to_js(&message);
    let arrived: M = bridge::from_js(&buffer).unwrap_or_else(|error| panic!("{message:?}: {error}"));
    assert_eq!(format!("{arrived:?}"), format!("{message:?}"));
}

fn input(input: Input) {
    arrives(ToWorker::Input(input));
}

fn output(output: Output) {
    arrives(FromWorker::Output(output));
}

#[wasm_bindgen_test]
fn to_the_worker() {
    arrives(ToWorker::Start { route: None });
    arrives(ToWorker::Alive);
    arrives(ToWorker::Start {
        route: Some(Route::RelayOnly),
    });
    for place in [Input::Online, Input::Offline, Input::NetworkChanged] {
        input(place);
    }
    input(Input::Budget(LinkBudget::Background));
    input(Input::Tick);
    input(Input::IceServers(ServerId(1), Ok(server())));
    input(Input::IceServers(ServerId(1), Err("no".into())));
    for event in [
        SignalEvent::Opened,
        SignalEvent::Message("{}".into()),
        SignalEvent::Closed("gone".into()),
    ] {
        input(Input::Signal(ServerId(u32::MAX), event));
    }
}

#[wasm_bindgen_test]
fn every_request() {
    let cursor = Cursor {
        created_at: 5,
        id: id(),
    };
    for command in [
        Command::Me,
        Command::SignUp {
            name: "名前".into()
        },
        Command::Import { nsec: "nsec1".into() },
        Command::Secret,
        Command::Timeline {
            scope: Scope::Everyone,
            before: None,
            limit: 200,
        },
        Command::Timeline {
            scope: Scope::FollowedBy(key()),
            before: Some(cursor),
            limit: 0,
        },
        Command::Timeline {
            scope: Scope::Author(key()),
            before: None,
            limit: usize::MAX,
        },
        Command::Note(id()),
        Command::Person(key()),
        Command::Post {
            text: "a".repeat(100_000),
        },
        Command::Delete(id()),
        Command::Follow {
            person: key(),
            follow: true,
        },
        Command::Rename { name: String::new() },
        Command::Network,
        Command::Setting("draft".into()),
        Command::SetSetting {
            name: "draft".into(),
            value: None,
        },
        Command::SetSetting {
            name: "draft".into(),
            value: Some("x".into()),
        },
    ] {
        input(Input::Request(Request {
            id: u64::MAX,
            key: Some(RequestKey([7; 16])),
            command,
        }));
    }
}

#[wasm_bindgen_test]
fn every_transport_event() {
    let link = LinkId(u64::MAX);
    for event in [
        TransportEvent::Signal {
            link,
            signal: PeerSignal::Offer("v=0\r\n".into()),
        },
        TransportEvent::Signal {
            link,
            signal: PeerSignal::Answer("v=0\r\n".into()),
        },
        TransportEvent::Signal {
            link,
            signal: candidate(Some("0"), Some(0)),
        },
        TransportEvent::Signal {
            link,
            signal: candidate(None, None),
        },
        TransportEvent::Opened { link },
        TransportEvent::Frame {
            link,
            frame: Vec::new(),
        },
        TransportEvent::Frame {
            link,
            frame: vec![0xff; MAX_FRAME],
        },
        TransportEvent::Drained { link, bytes: 12_345 },
        TransportEvent::Path {
            link,
            path: Path {
                kind: PathKind::Direct,
                rtt_ms: Some(1),
            },
        },
        TransportEvent::Path {
            link,
            path: Path {
                kind: PathKind::Relayed,
                rtt_ms: None,
            },
        },
        TransportEvent::Closed {
            link,
            reason: CloseReason::Local,
        },
        TransportEvent::Closed {
            link,
            reason: CloseReason::Remote,
        },
        TransportEvent::Closed {
            link,
            reason: CloseReason::Timeout,
        },
        TransportEvent::Closed {
            link,
            reason: CloseReason::Failed("x".into()),
        },
    ] {
        input(Input::Transport(event));
    }
}

#[wasm_bindgen_test]
fn from_the_worker() {
    arrives(FromWorker::Listening);
    arrives(FromWorker::Handled(16));
    arrives(FromWorker::LetGo);
    for state in [
        State::Ready,
        State::Ephemeral("a".into()),
        State::Busy("b".into()),
        State::Failed("c".into()),
        State::Recovering,
        State::Damaged,
    ] {
        arrives(FromWorker::State(state));
    }
    for command in [
        SignalCommand::Connect(url()),
        SignalCommand::Send("{}".into()),
        SignalCommand::Close,
        SignalCommand::FetchIceServers(url()),
    ] {
        output(Output::Signal(ServerId(0), command));
    }
    let link = LinkId(1);
    for route in [Route::Any, Route::RelayOnly] {
        let options = ConnectOptions {
            polite: true,
            offer: false,
            route,
            ice_servers: server().ice_servers,
        };
        output(Output::Transport(TransportCommand::Connect { link, options }));
    }
    for command in [
        TransportCommand::Signal {
            link,
            signal: candidate(Some("0"), None),
        },
        TransportCommand::Send {
            link,
            frame: vec![1; MAX_FRAME],
        },
        TransportCommand::Close { link },
    ] {
        output(Output::Transport(command));
    }
}

#[wasm_bindgen_test]
fn to_and_from_a_verifier() {
    arrives(ToVerifier {
        job: u64::MAX,
        urgent: true,
        events: vec![0xff; 100_000],
    });
    arrives(FromVerifier::Listening);
    arrives(FromVerifier::Verified {
        job: 1,
        holds: vec![true, false],
    });
    arrives(FromVerifier::Failed("x".into()));
}

#[wasm_bindgen_test]
fn every_answer() {
    let peer = Peer {
        session: SessionId(key()),
        person: Some(key()),
        name: None,
        state: PeerState::Syncing,
        route: Route::RelayOnly,
        path: Some(PathKind::Relayed),
        rtt_ms: Some(40),
        sent: 300,
        received: u64::MAX,
    };
    let next = Some(note().cursor());
    for reply in [
        Reply::Me(None),
        Reply::Me(Some(person())),
        Reply::Page(Page {
            notes: vec![note(), note()],
            next,
        }),
        Reply::Note(None),
        Reply::Note(Some(note())),
        Reply::Person(person()),
        Reply::Posted(note()),
        Reply::Network(Network {
            signal: SignalState::Online,
            refused: None,
            servers: vec![ServerInfo {
                url: url(),
                state: SignalState::Connecting,
                refused: Some(ErrorCode::TimedOut),
                origin: ServerOrigin::Recommended,
            }],
            peers: vec![peer],
            misses_relay: true,
        }),
        Reply::Routes(Routes {
            rings: vec![RingRoute {
                ring: Ring::Friend,
                route: Route::Any,
            }],
            forced: Some(Route::RelayOnly),
        }),
        Reply::Setting(Some("x".into())),
        Reply::Done,
    ] {
        output(Output::Interface(FromNode::Reply {
            id: 1,
            result: Ok(reply),
        }));
    }
    for error in [
        RequestError::Text(TextError::Empty),
        RequestError::NotAKey,
        RequestError::NoIdentity,
        RequestError::AlreadySignedUp,
        RequestError::NotYours,
        RequestError::Full,
        RequestError::Storage("x".into()),
        RequestError::Stopped,
    ] {
        output(Output::Interface(FromNode::Reply {
            id: 1,
            result: Err(error),
        }));
    }
    for change in [
        Change::NoteAdded(note()),
        Change::NoteRemoved(id()),
        Change::Person(key()),
        Change::Me,
        Change::Network,
    ] {
        output(Output::Interface(FromNode::Changed(change)));
    }
}

#[wasm_bindgen_test]
fn a_secret_arrives_though_its_debug_form_hides_it() {
    let secret = Secret {
        nsec: "nsec1secret".into(),
        npub: "npub1".into(),
    };
    let reply = FromNode::Reply {
        id: 1,
        result: Ok(Reply::Secret(secret.clone())),
    };
    let (buffer, _) = bridge::to_js(&FromWorker::Output(Output::Interface(reply.clone())));
    match bridge::from_js(&buffer) {
        Ok(FromWorker::Output(Output::Interface(arrived))) => assert_eq!(arrived, reply),
        other => panic!("{other:?}"),
    }
}

#[wasm_bindgen_test]
fn garbage_is_an_error() {
    for bytes in [
        &[][..],
        &[0],
        &[1],
        &[2, 0],
        &[0, 0xff, 0xff],
        b"\x01{\"Nonsense\":1}",
    ] {
        assert!(bridge::decode::<ToWorker>(bytes).is_err(), "{bytes:?}");
    }
    assert!(bridge::from_js::<ToWorker>(&"text".into()).is_err());
}
