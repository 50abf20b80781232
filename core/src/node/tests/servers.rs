//! Several signal servers at once.

use super::*;
use crate::node::api::{Network, ServerOrigin, SignalState};
use crate::signaling::ServerUrl;

const OTHER: ServerId = ServerId(1);

fn config(servers: &[&str]) -> Config {
    Config {
        servers: servers.iter().map(|url| url.parse().unwrap()).collect(),
        route: Some(Route::Any),
        verifiers: 0,
        seed: [1; 32],
    }
}

fn started(servers: &[&str]) -> Node<MemoryStore> {
    let (store, vault) = (MemoryStore::default(), Box::new(MemoryVault::default()));
    let mut node = Node::new(config(servers), store, vault, NOW).unwrap();
    ask(&mut node, Command::SignUp { name: "波".into() }).unwrap();
    node
}

fn say(node: &mut Node<MemoryStore>, server: ServerId, message: &ServerMessage) {
    let text = serde_json::to_string(message).unwrap();
    node.handle(Input::Signal(server, SignalEvent::Message(text)), NOW);
}

fn challenge(now: Option<Millis>) -> ServerMessage {
    ServerMessage::Challenge {
        challenge: "c".into(),
        now,
    }
}

fn welcome(node: &mut Node<MemoryStore>, server: ServerId, recommended: &[&str]) {
    node.handle(Input::Signal(server, SignalEvent::Opened), NOW);
    say(node, server, &challenge(None));
    let servers = recommended.iter().map(|&url| url.to_owned()).collect();
    say(node, server, &ServerMessage::Welcome { servers });
    let ice = IceServers {
        ice_servers: Vec::new(),
        ttl: 600,
    };
    node.handle(Input::IceServers(server, Ok(ice)), NOW);
}

fn two_servers() -> Node<MemoryStore> {
    let mut node = started(&["https://one.example", "https://two.example"]);
    for server in [SERVER, OTHER] {
        welcome(&mut node, server, &[]);
    }
    outputs(&mut node);
    node
}

fn network(node: &mut Node<MemoryStore>) -> Network {
    match ask(node, Command::Network) {
        Ok(Reply::Network(network)) => network,
        other => panic!("{other:?}"),
    }
}

fn urls(node: &mut Node<MemoryStore>) -> Vec<String> {
    network(node)
        .servers
        .iter()
        .map(|server| server.url.to_string())
        .collect()
}

/// Which servers were told something of this kind.
fn told(node: &mut Node<MemoryStore>, kind: &str) -> Vec<ServerId> {
    let needle = format!(r#""type":"{kind}""#);
    outputs(node)
        .into_iter()
        .filter_map(|output| match output {
            Output::Signal(server, SignalCommand::Send(text)) if text.contains(&needle) => Some(server),
            _ => None,
        })
        .collect()
}

fn lobby_of(server: ServerId, node: &mut Node<MemoryStore>, peer: SessionId) {
    say(
        node,
        server,
        &ServerMessage::Members {
            topic: crate::signaling::Topic::lobby(),
            peers: vec![peer],
        },
    );
}

/// The transport has an offer for the first link.
fn offer(node: &mut Node<MemoryStore>, link: LinkId) {
    let signal = PeerSignal::Offer("v=0".into());
    node.handle(Input::Transport(TransportEvent::Signal { link, signal }), NOW);
}

#[test]
fn all_are_joined_and_the_furthest_is_shown() {
    let mut node = started(&[
        "https://one.example",
        "https://two.example",
        "https://one.example/",
    ]);
    let each_once = ["https://one.example", "https://two.example"];
    assert_eq!(urls(&mut node), each_once);
    welcome(&mut node, OTHER, &[]);
    assert!(told(&mut node, "join").contains(&OTHER));
    let network = network(&mut node);
    assert_eq!(network.signal, SignalState::Online);
    assert_eq!(network.servers[0].state, SignalState::Connecting);
    assert_eq!(network.servers[1].state, SignalState::Online);
}

#[test]
fn what_is_said_goes_where_the_other_was_met_and_elsewhere_once_that_dies() {
    let mut node = two_servers();
    let peer = SessionId(Keys::generate().public_key());
    lobby_of(OTHER, &mut node, peer);
    let (opened, _) = effects(&mut node);
    offer(&mut node, opened[0]);
    assert_eq!(told(&mut node, "relay"), [OTHER]);
    lobby_of(SERVER, &mut node, peer);
    offer(&mut node, opened[0]);
    assert_eq!(told(&mut node, "relay"), [SERVER, OTHER], "met on both: by both");
    node.handle(Input::Signal(OTHER, SignalEvent::Closed("dead".into())), NOW);
    offer(&mut node, opened[0]);
    assert_eq!(told(&mut node, "relay"), [SERVER]);
}

#[test]
fn who_is_missing_on_one_server_is_not_given_up() {
    let mut node = two_servers();
    let peer = SessionId(Keys::generate().public_key());
    for server in [SERVER, OTHER] {
        lobby_of(server, &mut node, peer);
    }
    assert_eq!(network(&mut node).peers.len(), 1);
    say(&mut node, SERVER, &ServerMessage::Unreachable { to: peer });
    assert_eq!(
        network(&mut node).peers.len(),
        1,
        "the other server may have them"
    );
    say(&mut node, OTHER, &ServerMessage::Unreachable { to: peer });
    assert_eq!(network(&mut node).peers.len(), 0);
}

#[test]
fn what_comes_by_two_servers_is_taken_once() {
    let (mut node, stranger) = (two_servers(), Stranger::new());
    let own = node.session_id();
    let said = stranger.say(&stranger.offer(own), own);
    say(&mut node, SERVER, &said);
    say(&mut node, OTHER, &said);
    let (opened, signals) = effects(&mut node);
    assert_eq!((opened.len(), signals), (1, 1));
}

#[test]
fn a_server_that_lies_about_the_time_changes_nothing_where_another_tells_it() {
    let mut node = started(&["https://one.example", "https://two.example"]);
    say(&mut node, SERVER, &challenge(Some(Millis(NOW.0 + 86_400_000))));
    assert_eq!(node.network_time(NOW), Millis(NOW.0 + 86_400_000));
    say(&mut node, OTHER, &challenge(Some(Millis(NOW.0 + 5))));
    assert_eq!(node.network_time(NOW), NOW);
}

#[test]
fn a_persons_servers_are_kept_and_can_be_given_up() {
    let mut node = started(&["https://one.example"]);
    assert_eq!(
        ask(&mut node, Command::AddServer("no address".into())),
        Err(RequestError::NotAServer)
    );
    for typed in [" two.example ", "https://two.example/"] {
        assert_eq!(ask(&mut node, Command::AddServer(typed.into())), Ok(Reply::Done));
    }
    assert_eq!(urls(&mut node), ["https://one.example", "https://two.example"]);
    let (store, vault) = node.into_parts();
    let mut node = Node::new(config(&["https://one.example"]), store, vault, NOW).unwrap();
    assert_eq!(network(&mut node).servers[1].origin, ServerOrigin::Added);
    let two: ServerUrl = "https://two.example".parse().unwrap();
    outputs(&mut node);
    ask(&mut node, Command::RemoveServer(two.clone())).unwrap();
    assert_eq!(urls(&mut node), ["https://one.example"]);
    node.handle(Input::Signal(OTHER, SignalEvent::Opened), NOW);
    for n in 0..10 {
        let url = format!("https://{n}.example");
        let added = ask(&mut node, Command::AddServer(url));
        let expected = if n < 5 {
            Ok(Reply::Done)
        } else {
            Err(RequestError::TooManyServers)
        };
        assert_eq!(added, expected, "{n}");
    }
}

#[test]
fn a_server_that_is_given_up_is_hung_up_on() {
    let mut node = started(&["https://one.example"]);
    ask(&mut node, Command::AddServer("two.example".into())).unwrap();
    let request = Request {
        id: 9,
        key: None,
        command: Command::RemoveServer("https://two.example".parse().unwrap()),
    };
    node.handle(Input::Request(request), NOW);
    assert!(
        outputs(&mut node)
            .iter()
            .any(|output| matches!(output, Output::Signal(OTHER, SignalCommand::Close)))
    );
}

#[test]
fn recommended_servers_are_used_but_recommend_none_and_stay_away_when_dismissed() {
    let mut node = started(&["https://one.example"]);
    let many = [
        "https://a.example",
        "nonsense",
        "https://b.example",
        "https://c.example",
    ];
    welcome(&mut node, SERVER, &many);
    let of_one = ["https://one.example", "https://a.example", "https://b.example"];
    assert_eq!(urls(&mut node), of_one, "three words of it are listened to");
    welcome(&mut node, ServerId(1), &["https://evil.example"]);
    assert_eq!(urls(&mut node), of_one);
    ask(
        &mut node,
        Command::RemoveServer("https://a.example".parse().unwrap()),
    )
    .unwrap();
    welcome(&mut node, SERVER, &many);
    assert_eq!(urls(&mut node), ["https://one.example", "https://b.example"]);
    // After the next start they are there before the first server is reached.
    let (store, vault) = node.into_parts();
    let mut node = Node::new(config(&["https://one.example"]), store, vault, NOW).unwrap();
    assert_eq!(urls(&mut node), ["https://one.example", "https://b.example"]);
    welcome(&mut node, SERVER, &[]);
    assert_eq!(
        urls(&mut node),
        ["https://one.example"],
        "it recommends none any more"
    );
}

#[test]
fn a_server_that_passes_on_the_challenge_of_another_is_left() {
    let mut node = started(&["https://one.example", "https://two.example"]);
    let text = crate::signaling::challenge([7; 16], [1; 32]);
    let challenge = |challenge: &str| ServerMessage::Challenge {
        challenge: challenge.to_owned(),
        now: None,
    };
    say(&mut node, SERVER, &challenge(&text));
    assert_eq!(told(&mut node, "hello"), [SERVER]);
    say(&mut node, OTHER, &challenge(&text));
    assert_eq!(told(&mut node, "hello"), [], "it would log in there as this peer");
    let own = crate::signaling::challenge([8; 16], [2; 32]);
    node.handle(Input::Online, NOW);
    node.handle(Input::Tick, NOW + Duration::from_secs(40));
    say(&mut node, OTHER, &challenge(&own));
    assert_eq!(told(&mut node, "hello"), [OTHER]);
}

#[test]
fn a_server_is_challenged_and_welcomes_once_for_each_connection() {
    let mut node = two_servers();
    say(&mut node, SERVER, &challenge(None));
    let servers = vec!["https://evil.example".to_owned()];
    say(&mut node, SERVER, &ServerMessage::Welcome { servers });
    assert!(outputs(&mut node).is_empty());
    assert_eq!(urls(&mut node).len(), 2);
}

#[test]
fn only_addresses_over_tls_are_recommended_and_not_a_new_list_each_time() {
    let mut node = started(&["https://one.example"]);
    welcome(
        &mut node,
        SERVER,
        &[
            "http://192.168.1.1/admin",
            "http://127.0.0.1:8080",
            "https://two.example",
        ],
    );
    assert_eq!(urls(&mut node), ["https://one.example", "https://two.example"]);
    node.handle(Input::Signal(SERVER, SignalEvent::Closed("again".into())), NOW);
    let later = NOW + Duration::from_secs(40);
    node.handle(Input::Tick, later);
    let servers = vec!["https://three.example".to_owned()];
    let text = serde_json::to_string(&ServerMessage::Welcome { servers }).unwrap();
    node.handle(Input::Signal(SERVER, SignalEvent::Message(text)), later);
    assert_eq!(urls(&mut node), ["https://one.example", "https://two.example"]);
}

#[test]
fn what_the_person_chose_has_its_place_before_what_others_do() {
    let mut node = started(&["https://one.example"]);
    welcome(
        &mut node,
        SERVER,
        &["https://a.example", "https://b.example", "https://c.example"],
    );
    for n in 0..5 {
        ask(&mut node, Command::AddServer(format!("https://{n}.example"))).unwrap();
    }
    let used = urls(&mut node);
    assert_eq!(used.len(), 6);
    assert!(
        (0..5).all(|n| used.contains(&format!("https://{n}.example"))),
        "{used:?}"
    );
}

#[test]
fn members_that_nobody_asked_for_are_not_listened_to() {
    let mut node = two_servers();
    let peer = || SessionId(Keys::generate().public_key());
    // One join has not been answered.
    lobby_of(SERVER, &mut node, peer());
    lobby_of(SERVER, &mut node, peer());
    lobby_of(SERVER, &mut node, peer());
    assert!(network(&mut node).peers.len() <= 2);
}
