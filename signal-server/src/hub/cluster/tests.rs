//! Hubs that hear each other without NATS in between; what passes can be lost.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sazanami_core::Keys;
use sazanami_core::signaling::ServerMessage;

use super::*;
use crate::connection::Connection;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::outbox::{CloseReason, Next};

const NOW: Millis = Millis(1_700_000_000_000);

fn after(millis: u64) -> Millis {
    NOW + Duration::from_millis(millis)
}

fn hub(id: u128) -> Arc<Hub> {
    let limits = Limits::for_listener(IpAddr::from([127, 0, 0, 1]));
    let hub = Hub::new(limits, [7; 32]);
    hub.be_one_of_many(ServerId(id));
    hub.joined(NOW);
    Arc::new(hub)
}

/// Passes on everything until nobody has anything to say.
fn pass(hubs: &[&Arc<Hub>], now: Millis) {
    loop {
        let mut quiet = true;
        for (place, hub) in hubs.iter().enumerate() {
            while let Some(ForOthers { to, bytes, relay }) = hub.try_next_for_others() {
                quiet = false;
                let mut heard = false;
                for (other, hub) in hubs.iter().enumerate() {
                    let id = lock_id(hub);
                    if other != place && to.is_none_or(|to| to == id) {
                        heard = true;
                        hub.heard(&bytes, now);
                    }
                }
                if let Some((from, to)) = relay.filter(|_| to.is_some() && !heard) {
                    hub.lost(from, to);
                }
            }
        }
        if quiet {
            return;
        }
    }
}

fn lock_id(hub: &Hub) -> ServerId {
    crate::lock(&hub.state).cluster.as_ref().unwrap().id()
}

struct Peer {
    hub: Arc<Hub>,
    connection: Connection,
    session: SessionId,
}

impl Peer {
    fn on(hub: &Arc<Hub>, session: SessionId, now: Millis) -> Self {
        let address = IpAddr::from([127, 0, 0, 1]).into();
        let connection = Connection::open(Arc::clone(hub), address, "abc".into(), now).unwrap();
        hub.register(connection.id(), session, now);
        let mut peer = Self {
            hub: Arc::clone(hub),
            connection,
            session,
        };
        peer.received();
        peer
    }

    fn new(hub: &Arc<Hub>) -> Self {
        Self::on(hub, somebody(), NOW)
    }

    fn join(&self, now: Millis) {
        assert!(self.hub.join(self.connection.id(), Topic::lobby(), now));
    }

    fn relay(&self, to: SessionId) -> bool {
        self.hub.relay(self.session, to, "x".into(), NOW)
    }

    fn received(&mut self) -> Vec<ServerMessage> {
        std::iter::from_fn(|| match self.connection.outbox().try_next() {
            Some(Next::Message(text)) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        })
        .collect()
    }
}

fn somebody() -> SessionId {
    SessionId(Keys::generate().public_key())
}

fn members(peers: &[SessionId]) -> Vec<ServerMessage> {
    vec![ServerMessage::Members {
        topic: Topic::lobby(),
        peers: peers.to_vec(),
    }]
}

#[test]
fn a_join_is_answered_when_all_have_answered() {
    let hubs = [1, 2, 3].map(hub);
    let [one, two, three] = &hubs;
    pass(&[one, two, three], NOW);
    let (mut alice, bob) = (Peer::new(one), Peer::new(two));
    bob.join(NOW);
    pass(&[one, two, three], NOW);
    alice.join(NOW);
    assert_eq!(alice.received(), [], "not before the others have said something");
    pass(&[one, two, three], NOW);
    assert_eq!(alice.received(), members(&[bob.session]));
}

#[test]
fn a_silent_server_delays_a_join_but_does_not_stop_it_and_is_forgotten() {
    let hubs = [1, 2, 3].map(hub);
    let [one, two, three] = &hubs;
    pass(&[one, two, three], NOW);
    let (mut alice, bob) = (Peer::new(one), Peer::new(two));
    bob.join(NOW);
    pass(&[one, two], NOW);
    bob.hub.tick(after(200));
    alice.join(NOW);
    pass(&[one, two], NOW);
    one.tick(after(199));
    assert_eq!(alice.received(), []);
    one.tick(after(200));
    assert_eq!(alice.received(), members(&[bob.session]));
    for second in 1..=4 {
        two.tick(after(second * 1_000));
        one.tick(after(second * 1_000));
        pass(&[one, two], after(second * 1_000));
    }
    assert_eq!(one.cluster_servers(), Some(1));
    alice.join(after(4_000));
    pass(&[one, two], after(4_000));
    assert_eq!(alice.received(), members(&[bob.session]), "at once again");
}

#[test]
fn a_relay_finds_its_session_and_then_goes_there_alone() {
    let hubs = [1, 2, 3].map(hub);
    let [one, two, three] = &hubs;
    pass(&[one, two, three], NOW);
    let (alice, mut bob) = (Peer::new(one), Peer::new(two));
    pass(&[one, two, three], NOW);
    assert!(alice.relay(bob.session));
    pass(&[one, two, three], NOW);
    let relayed = ServerMessage::Relayed {
        from: alice.session,
        sealed: "x".into(),
    };
    assert_eq!(bob.received(), std::slice::from_ref(&relayed));
    assert!(alice.relay(bob.session));
    let sent = one.try_next_for_others().unwrap();
    assert_eq!(sent.to, Some(ServerId(2)));
    assert_eq!(sent.relay, Some((alice.session, bob.session)));
    two.heard(&sent.bytes, NOW);
    assert_eq!(bob.received(), [relayed]);
    assert!(bob.relay(alice.session));
    assert_eq!(
        two.try_next_for_others().unwrap().to,
        Some(ServerId(1)),
        "the way back is known"
    );
}

#[test]
fn who_is_nowhere_is_unreachable_after_a_while_and_who_left_at_once() {
    let hubs = [1, 2].map(hub);
    let [one, two] = &hubs;
    pass(&[one, two], NOW);
    let (mut alice, bob) = (Peer::new(one), Peer::new(two));
    let nobody = somebody();
    assert!(alice.relay(nobody));
    pass(&[one, two], NOW);
    one.tick(after(499));
    assert_eq!(alice.received(), []);
    one.tick(after(500));
    assert_eq!(alice.received(), [ServerMessage::Unreachable { to: nobody }]);

    assert!(alice.relay(bob.session));
    pass(&[one, two], NOW);
    let to = bob.session;
    drop(bob);
    assert!(alice.relay(to));
    pass(&[one, two], NOW);
    assert_eq!(alice.received(), [ServerMessage::Unreachable { to }]);
}

#[test]
fn a_relay_to_a_dead_server_comes_back() {
    let hubs = [1, 2].map(hub);
    let [one, two] = &hubs;
    pass(&[one, two], NOW);
    let (mut alice, bob) = (Peer::new(one), Peer::new(two));
    assert!(alice.relay(bob.session));
    pass(&[one, two], NOW);
    assert!(alice.relay(bob.session));
    pass(&[one], NOW);
    assert_eq!(alice.received(), [ServerMessage::Unreachable { to: bob.session }]);
}

#[test]
fn the_younger_connection_stays_also_after_the_servers_were_apart() {
    let hubs = [1, 2].map(hub);
    let [one, two] = &hubs;
    pass(&[one, two], NOW);
    let session = somebody();
    let older = Peer::on(one, session, NOW);
    pass(&[one, two], NOW);
    let newer = Peer::on(two, session, after(10));
    pass(&[one, two], after(10));
    assert_eq!(older.connection.outbox().closed(), Some(CloseReason::Replaced));
    assert_eq!(newer.connection.outbox().closed(), None);

    for hub in &hubs {
        hub.parted();
    }
    // The clocks of these differ by a minute, which does not matter.
    let newest = Peer::on(one, session, after(60_500));
    two.joined(after(1_000));
    one.joined(after(61_000));
    let told = |hub: &Arc<Hub>| std::iter::from_fn(|| hub.try_next_for_others()).collect::<Vec<_>>();
    let (from_one, from_two) = (told(one), told(two));
    from_two.iter().for_each(|it| one.heard(&it.bytes, after(61_000)));
    from_one.iter().for_each(|it| two.heard(&it.bytes, after(1_000)));
    assert_eq!(newer.connection.outbox().closed(), Some(CloseReason::Replaced));
    assert_eq!(newest.connection.outbox().closed(), None);
}

#[test]
fn a_claim_that_was_missed_is_made_up_for() {
    let hubs = [1, 2].map(hub);
    let [one, two] = &hubs;
    let session = somebody();
    let older = Peer::on(one, session, NOW);
    let newer = Peer::on(two, session, after(10));
    // What the second said was lost; only the older one's claim arrives.
    while two.try_next_for_others().is_some() {}
    one.parted();
    one.joined(after(20));
    pass(&[one, two], after(20));
    assert_eq!(older.connection.outbox().closed(), Some(CloseReason::Replaced));
    assert_eq!(newer.connection.outbox().closed(), None);
}

#[test]
fn parted_servers_answer_what_waits_and_go_on_alone() {
    let hubs = [1, 2].map(hub);
    let [one, two] = &hubs;
    pass(&[one, two], NOW);
    let (mut alice, amy, bob) = (Peer::new(one), Peer::new(one), Peer::new(two));
    one.parted();
    amy.join(NOW);
    one.joined(NOW);
    pass(&[one, two], NOW);
    alice.join(NOW);
    let nobody = somebody();
    assert!(alice.relay(nobody));
    one.parted();
    let mut expected = members(&[amy.session]);
    expected.push(ServerMessage::Unreachable { to: nobody });
    assert_eq!(alice.received(), expected);
    assert!(!alice.relay(bob.session), "unreachable at once");
    assert_eq!(one.try_next_for_others(), None, "nothing is kept for later");
}

#[test]
fn a_sample_of_all_servers_is_as_fair_as_of_one() {
    let people: Vec<SessionId> = (0..100).map(|_| somebody()).collect();
    let mut rng = StdRng::seed_from_u64(7);
    let mut drawn: HashMap<SessionId, u32> = HashMap::new();
    for _ in 0..2_000 {
        // 4, 16 and 80 of them on one server each, and none on a fourth.
        let parts = [0..4, 4..20, 20..100, 0..0].map(|range| {
            let part = &people[range];
            let sample = rand::seq::index::sample(&mut rng, part.len(), part.len().min(MAX_SAMPLE));
            (part.len(), sample.into_iter().map(|i| part[i]).collect())
        });
        let sample = merge(parts.into(), MAX_SAMPLE, &mut rng);
        assert_eq!(sample.iter().collect::<HashSet<_>>().len(), MAX_SAMPLE);
        for session in sample {
            *drawn.entry(session).or_default() += 1;
        }
    }
    // 2,000 × 16 / 100 = 320 expected, standard deviation below 17.
    for (place, person) in people.iter().enumerate() {
        let count = drawn[person];
        assert!((220..420).contains(&count), "{place} was drawn {count} times");
    }
}

#[test]
fn what_waits_to_be_told_is_bounded() {
    let (one, two) = (hub(1), hub(2));
    pass(&[&one, &two], NOW);
    let alice = Peer::new(&one);
    let sent = (0..MAX_QUEUED.0 + MAX_WAITING)
        .filter(|_| alice.relay(somebody()))
        .count();
    assert!(sent <= MAX_WAITING, "{sent} are looked for at once");
    let sealed = "x".repeat(MAX_MESSAGE);
    let to = somebody();
    crate::lock(&one.state)
        .cluster
        .as_mut()
        .unwrap()
        .place(to, ServerId(2));
    let sent = (0..10_000)
        .filter(|_| one.relay(alice.session, to, sealed.clone(), NOW))
        .count();
    assert!(sent <= MAX_QUEUED.1 / MAX_MESSAGE, "{sent}");
    assert!(one.metrics().struck(Limit::ClusterQueue) > 0);
}

#[test]
fn a_liar_costs_a_bounded_amount() {
    let one = hub(1);
    let mut alice = Peer::new(&one);
    for server in 2..2_000 {
        let letter = format!(r#"{{"server":"{:032x}","type":"alive"}}"#, server);
        one.heard(letter.as_bytes(), NOW);
    }
    assert_eq!(one.cluster_servers(), Some(MAX_SERVERS));
    alice.join(NOW);
    let liar = ServerId(2);
    let peers = (0..1_000).map(|_| somebody()).collect();
    let told = Told::Sampled {
        token: 0,
        count: usize::MAX,
        peers,
    };
    let letter = serde_json::to_vec(&Letter { server: liar, told }).unwrap();
    one.heard(&letter[..letter.len().min(MAX_TOLD)], NOW);
    let peers = (0..900).map(|_| somebody()).collect();
    let told = Told::Sampled {
        token: 0,
        count: usize::MAX,
        peers,
    };
    one.heard(&serde_json::to_vec(&Letter { server: liar, told }).unwrap(), NOW);
    one.tick(after(200));
    let [ServerMessage::Members { peers, .. }] = &alice.received()[..] else {
        panic!()
    };
    assert_eq!(peers.len(), MAX_SAMPLE);
}

proptest! {
    #[test]
    fn no_letter_breaks_a_hub(letters in prop::collection::vec(letter(), 0..40)) {
        let one = hub(1);
        let mut alice = Peer::new(&one);
        alice.join(NOW);
        for letter in &letters {
            one.heard(letter, NOW);
        }
        one.tick(after(10_000));
        prop_assert_eq!(one.cluster_servers(), Some(0));
        alice.received();
        alice.join(after(10_000));
        prop_assert_eq!(alice.received(), members(&[]));
    }
}

fn letter() -> impl Strategy<Value = Vec<u8>> {
    let session = somebody();
    let topic = Topic::lobby();
    let kinds = [
        r#""type":"alive""#.to_owned(),
        r#""type":"bye""#.to_owned(),
        format!(r#""type":"claim","sessions":[["{session}",18446744073709551615]]"#),
        format!(r#""type":"sample","token":7,"topic":"{}""#, topic.as_str()),
        format!(r#""type":"sampled","token":0,"count":9,"peers":["{session}"]"#),
        format!(r#""type":"relay","from":"{session}","to":"{session}","sealed":"x","search":true"#),
        format!(r#""type":"found","from":"{session}","to":"{session}""#),
        format!(r#""type":"missing","from":"{session}","to":"{session}""#),
    ];
    let well = (0..4u128, prop::sample::select(kinds.to_vec()))
        .prop_map(|(server, told)| format!(r#"{{"server":"{server:032x}",{told}}}"#).into_bytes());
    prop_oneof![4 => well, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}
