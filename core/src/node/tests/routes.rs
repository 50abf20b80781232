//! Who learns this device's address: everything that a node has sealed and sent is opened and looked through.

use nostr::prelude::{EventBuilder, FinalizeEvent, Tag};

use super::*;
use crate::node::api::RingRoute;
use crate::signaling::{IceServer, Topic};
use crate::social::Ring;
use crate::transport::ConnectOptions;

const HOST: &str = "candidate:1 1 udp 2130706431 192.168.1.7 50000 typ host";
const REFLEXIVE: &str =
    "candidate:2 1 udp 1694498815 198.51.100.7 50000 typ srflx raddr 192.168.1.7 rport 50000";
const RELAY: &str = "candidate:3 1 udp 16777215 203.0.113.9 49152 typ relay raddr 198.51.100.7 rport 50000";
/// Parts of this device's addresses.
const OWN: [&str; 2] = ["192.168.", "198.51.100."];

fn sdp(kind: &str) -> String {
    format!(
        "v=0\r\no=- {kind} 2 IN IP4 192.168.1.7\r\ns=-\r\nm=application 50000 UDP/DTLS/SCTP webrtc-datachannel\r\n\
         c=IN IP4 192.168.1.7\r\na=mid:0\r\na={HOST}\r\na={REFLEXIVE}\r\na={RELAY}\r\n"
    )
}

/// A node that goes by rings, at a server with or without a relay.
fn by_ring(relay: bool) -> Node<MemoryStore> {
    let mut node = online(1);
    node.config.route = None;
    serve_ice(&mut node, relay);
    outputs(&mut node);
    node
}

fn serve_ice(node: &mut Node<MemoryStore>, relay: bool) {
    let stun = ["stun:203.0.113.9".to_owned()];
    let turn = relay.then(|| "turn:203.0.113.9?transport=udp".to_owned());
    let server = IceServer {
        urls: stun.into_iter().chain(turn).collect(),
        username: None,
        credential: None,
    };
    let servers = IceServers {
        ice_servers: vec![server],
        ttl: 600,
    };
    node.handle(Input::IceServers(SERVER, Ok(servers)), NOW);
}

/// What the node opens, and what it has sent to somebody, opened.
#[derive(Default)]
struct Seen {
    connects: Vec<(LinkId, ConnectOptions)>,
    closed: Vec<LinkId>,
    joined: Vec<Topic>,
    said: Vec<Introduction>,
}

impl Seen {
    fn of(node: &mut Node<MemoryStore>, to: &Stranger) -> Self {
        let from = node.session_id();
        let mut seen = Self::default();
        for output in outputs(node) {
            match output {
                Output::Transport(TransportCommand::Connect { link, options }) => {
                    seen.connects.push((link, options));
                }
                Output::Transport(TransportCommand::Close { link }) => seen.closed.push(link),
                Output::Signal(_, SignalCommand::Send(text)) => match serde_json::from_str(&text).unwrap() {
                    ClientMessage::Relay { to: other, sealed } if other == to.id() => {
                        seen.said
                            .push(introduction::open(&sealed, &to.session, from, NOW).unwrap());
                    }
                    ClientMessage::Join { topic } if topic != Topic::lobby() => seen.joined.push(topic),
                    _ => {}
                },
                _ => {}
            }
        }
        seen
    }

    fn said(&self) -> String {
        serde_json::to_string(&self.said).unwrap()
    }

    #[track_caller]
    fn tells_no_address(&self) {
        let said = self.said();
        assert!(OWN.iter().all(|own| !said.contains(own)), "{said}");
        assert!(
            !said.contains("typ host") && !said.contains("typ srflx"),
            "{said}"
        );
    }
}

fn signal(node: &mut Node<MemoryStore>, link: LinkId, signal: PeerSignal) {
    node.handle(Input::Transport(TransportEvent::Signal { link, signal }), NOW);
}

/// The transport describes itself as one does that was told nothing of who is at the other end.
fn describe(node: &mut Node<MemoryStore>, link: LinkId, offer: bool) {
    signal(
        node,
        link,
        if offer {
            PeerSignal::Offer(sdp("offer"))
        } else {
            PeerSignal::Answer(sdp("answer"))
        },
    );
    for candidate in [HOST, REFLEXIVE, RELAY] {
        let candidate = PeerSignal::Candidate {
            candidate: candidate.to_owned(),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
        };
        signal(node, link, candidate);
    }
}

fn offers(node: &mut Node<MemoryStore>, stranger: &Stranger) {
    let own = node.session_id();
    hear(node, &stranger.say(&stranger.offer(own), own), NOW);
}

/// Makes two people friends: they follow each other, as far as the node knows.
fn befriend(node: &mut Node<MemoryStore>, friend: &Keys) {
    let Ok(Reply::Me(Some(me))) = ask(node, Command::Me) else {
        panic!("no identity")
    };
    let person = friend.public_key();
    ask(node, Command::Follow { person, follow: true }).unwrap();
    let follows = EventBuilder::new(Kind::ContactList, "")
        .tag(Tag::public_key(me.key))
        .custom_created_at(NOW.timestamp())
        .finalize(friend)
        .unwrap();
    node.take_in(&[follows], None, NOW).unwrap();
    assert_eq!(node.store().ring(&person), Ok(Ring::Friend));
}

/// A node and a friend who is awaited in a topic, in which the server names this session. The node has offered.
fn awaiting(named: &Stranger, friend: &Keys) -> (Node<MemoryStore>, LinkId) {
    let mut node = by_ring(true);
    befriend(&mut node, friend);
    node.friends.forget();
    outputs(&mut node);
    node.handle(Input::Tick, NOW);
    let joined = Seen::of(&mut node, named).joined;
    assert!(!joined.is_empty(), "the friend is awaited");
    for topic in joined {
        let peers = vec![named.id()];
        hear(&mut node, &ServerMessage::Members { topic, peers }, NOW);
    }
    let seen = Seen::of(&mut node, named);
    let [(link, options)] = seen.connects.as_slice() else {
        panic!("{:?}", seen.connects)
    };
    assert_eq!(options.route, Route::Any, "as to a friend");
    describe(&mut node, *link, true);
    let seen = Seen::of(&mut node, named);
    assert!(
        matches!(seen.said.as_slice(), [offer] if matches!(offer.body, Body::Signal(PeerSignal::Offer(_))))
    );
    assert!(!seen.said().contains("typ "), "no candidate yet");
    (node, *link)
}

fn answer(node: &mut Node<MemoryStore>, by: &Stranger) {
    let own = node.session_id();
    let answer = Introduction {
        body: Body::Signal(PeerSignal::Answer("v=0".into())),
        to_attempt: Some(node.links.values().next().unwrap().attempt),
        ..by.offer(own)
    };
    hear(node, &by.say(&answer, own), NOW);
}

#[test]
fn a_stranger_who_offers_gets_relay_candidates_only() {
    let (mut node, stranger) = (by_ring(true), Stranger::new());
    offers(&mut node, &stranger);
    let seen = Seen::of(&mut node, &stranger);
    let [(link, options)] = seen.connects.as_slice() else {
        panic!("{:?}", seen.connects)
    };
    assert_eq!(options.route, Route::RelayOnly);
    describe(&mut node, *link, false);
    let seen = Seen::of(&mut node, &stranger);
    assert_eq!(seen.said.len(), 2, "an answer and one candidate");
    seen.tells_no_address();
    assert!(seen.said().contains("203.0.113.9"), "the relay's is told");
}

#[test]
fn a_stranger_who_is_offered_to_gets_relay_candidates_only() {
    let (mut node, stranger) = (by_ring(true), Stranger::new());
    let topic = Topic::lobby();
    let peers = vec![stranger.id()];
    hear(&mut node, &ServerMessage::Members { topic, peers }, NOW);
    let seen = Seen::of(&mut node, &stranger);
    let [(link, options)] = seen.connects.as_slice() else {
        panic!("{:?}", seen.connects)
    };
    assert_eq!(options.route, Route::RelayOnly);
    describe(&mut node, *link, true);
    answer(&mut node, &stranger);
    describe(&mut node, *link, true);
    let seen = Seen::of(&mut node, &stranger);
    assert_eq!(seen.said.len(), 4);
    seen.tells_no_address();
}

#[test]
fn a_friend_is_told_everything_once_they_have_proven_who_they_are() {
    let friend = Stranger::new();
    let (mut node, link) = awaiting(&friend, &friend.person);
    answer(&mut node, &friend);
    let seen = Seen::of(&mut node, &friend);
    assert!(seen.closed.is_empty());
    // Those of the description and those that were trickled.
    assert_eq!(seen.said.len(), 6);
    assert!(seen.said().contains("192.168.1.7 50000 typ host"));
    describe(&mut node, link, true);
    assert_eq!(
        Seen::of(&mut node, &friend).said.len(),
        4,
        "nothing is kept back now"
    );
}

#[test]
fn whoever_the_server_names_in_a_friends_place_learns_nothing() {
    let (friend, named) = (Keys::generate(), Stranger::new());
    let (mut node, link) = awaiting(&named, &friend);
    answer(&mut node, &named);
    let seen = Seen::of(&mut node, &named);
    assert_eq!(seen.closed, [link]);
    assert_eq!(seen.said, []);

    // Nor when they offer themselves meanwhile: then they are who they are.
    let (mut node, link) = awaiting(&named, &friend);
    offers(&mut node, &named);
    let seen = Seen::of(&mut node, &named);
    assert_eq!(seen.closed, [link]);
    assert_eq!(seen.connects.len(), 1);
    let (link, options) = &seen.connects[0];
    assert_eq!(options.route, Route::RelayOnly);
    describe(&mut node, *link, false);
    Seen::of(&mut node, &named).tells_no_address();
}

#[test]
fn without_a_relay_strangers_are_not_connected_and_it_is_said() {
    let (mut node, stranger) = (by_ring(false), Stranger::new());
    let misses = |node: &mut Node<MemoryStore>| match ask(node, Command::Network) {
        Ok(Reply::Network(network)) => network.misses_relay,
        other => panic!("{other:?}"),
    };
    assert!(misses(&mut node));
    offers(&mut node, &stranger);
    let seen = Seen::of(&mut node, &stranger);
    assert!(seen.connects.is_empty());
    assert!(matches!(seen.said.as_slice(), [no] if no.body == Body::NoRelay));
    let (topic, peers) = (Topic::lobby(), vec![Stranger::new().id()]);
    hear(&mut node, &ServerMessage::Members { topic, peers }, NOW);
    assert!(Seen::of(&mut node, &stranger).connects.is_empty());
    // A friend is reached all the same.
    let friend = Stranger::new();
    befriend(&mut node, &friend.person);
    offers(&mut node, &friend);
    assert_eq!(Seen::of(&mut node, &friend).connects.len(), 1);

    // A relay over TCP is one too.
    let server = IceServer {
        urls: vec![
            "turn:203.0.113.9?transport=tcp".into(),
            "turns:203.0.113.9".into(),
        ],
        username: None,
        credential: None,
    };
    let servers = IceServers {
        ice_servers: vec![server],
        ttl: 600,
    };
    node.handle(Input::IceServers(SERVER, Ok(servers)), NOW);
    assert!(!misses(&mut node));
}

#[test]
fn the_choice_is_the_persons_and_is_kept() {
    let (mut node, stranger) = (by_ring(false), Stranger::new());
    let choose = |node: &mut Node<MemoryStore>, ring, route| {
        assert_eq!(ask(node, Command::SetRoute { ring, route }), Ok(Reply::Done));
    };
    choose(&mut node, Ring::Stranger, Route::Any);
    offers(&mut node, &stranger);
    let seen = Seen::of(&mut node, &stranger);
    let [(link, options)] = seen.connects.as_slice() else {
        panic!("{:?}", seen.connects)
    };
    assert_eq!(options.route, Route::Any);
    describe(&mut node, *link, false);
    assert!(Seen::of(&mut node, &stranger).said().contains("typ host"));

    // Taken back, the link ends.
    serve_ice(&mut node, true);
    choose(&mut node, Ring::Stranger, Route::RelayOnly);
    choose(&mut node, Ring::Friend, Route::RelayOnly);
    assert!(node.links.is_empty());
    let friend = Stranger::new();
    befriend(&mut node, &friend.person);
    offers(&mut node, &friend);
    let connects = Seen::of(&mut node, &friend).connects;
    assert_eq!(connects[0].1.route, Route::RelayOnly, "so for friends");

    let config = node.config().clone();
    let (store, vault) = node.into_parts();
    let mut node = Node::new(config, store, vault, NOW).unwrap();
    let Ok(Reply::Routes(routes)) = ask(&mut node, Command::Routes) else {
        panic!("no routes")
    };
    let route_to = |wanted| {
        let found = routes.rings.iter().find(|RingRoute { ring, .. }| *ring == wanted);
        found.unwrap().route
    };
    assert_eq!(route_to(Ring::Me), Route::Any);
    assert_eq!(route_to(Ring::Friend), Route::RelayOnly);
}
