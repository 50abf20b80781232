use std::net::IpAddr;
use std::time::Duration;

use nostr::prelude::{ClientMessage, Event, EventId, Filter, Keys, Kind, SubscriptionId, Tag, Timestamp};
use serde_json::{Value, json};

use super::host::Hosts;
use super::*;
use crate::social::{self, note_event};
use crate::store::{Invalid, MemoryStore, Put, Store};
use crate::sync::reconcile::{initiate, learn};
use crate::sync::{Env, ItemSet, ReconcileSets};
use crate::time::Millis;

const NOW: Millis = Millis(1_700_000_000_000);

/// A client, and the store that it is served from.
struct Served {
    client: Client,
    host: Host,
    store: MemoryStore,
    sets: ReconcileSets,
    now: Millis,
}

impl Served {
    fn new(events: &[Event]) -> Self {
        let mut store = MemoryStore::new();
        store.put(events, NOW).unwrap();
        Self {
            client: Client::new(NOW),
            host: Host::default(),
            store,
            sets: ReconcileSets::default(),
            now: NOW,
        }
    }

    fn say(&mut self, text: &str) -> Option<Event> {
        let mut env = Env {
            store: &mut self.store,
            sets: &mut self.sets,
            now: self.now,
        };
        self.client
            .take(Request::parse(text), &mut self.host, &mut env)
            .unwrap()
    }

    /// What it hears, read at once.
    fn hear(&mut self) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let texts = self.client.poll(&mut self.host, &self.store, self.now).unwrap();
            if texts.is_empty() {
                return heard;
            }
            self.client.drained(texts.iter().map(String::len).sum());
            heard.extend(
                texts
                    .iter()
                    .map(|text| serde_json::from_str::<Value>(text).unwrap()),
            );
        }
    }

    fn ask(&mut self, text: &str) -> Vec<Value> {
        assert_eq!(self.say(text), None);
        self.hear()
    }
}

fn notes(author: &Keys, count: u64) -> Vec<Event> {
    (0..count)
        .map(|n| note_event(author, format!("{n}"), Millis(NOW.0 - 1_000 * n)))
        .collect()
}

fn req(id: &str, filters: &[Filter]) -> String {
    ClientMessage::req(SubscriptionId::new(id), filters.to_vec()).as_json()
}

fn ids(heard: &[Value], subscription: &str) -> Vec<String> {
    let events = heard
        .iter()
        .filter(|message| message[0] == "EVENT" && message[1] == subscription);
    events
        .map(|message| message[2]["id"].as_str().unwrap().to_owned())
        .collect()
}

fn hex(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.to_hex()).collect()
}

#[test]
fn stored_events_come_newest_first_and_once_then_the_end() {
    let author = Keys::generate();
    let events = notes(&author, 5);
    let mut served = Served::new(&events);
    let filters = [
        Filter::new().author(author.public_key()).limit(3),
        Filter::new().id(events[4].id),
    ];
    let heard = served.ask(&req("a", &filters));
    let mut expected = hex(&events[..3]);
    expected.push(events[4].id.to_hex());
    assert_eq!(ids(&heard, "a"), expected);
    assert_eq!(heard.last(), Some(&json!(["EOSE", "a"])));
    let both = [
        Filter::new().kind(Kind::TextNote),
        Filter::new().author(author.public_key()),
    ];
    assert_eq!(ids(&served.ask(&req("b", &both)), "b").len(), 5, "each once");
}

#[test]
fn new_events_reach_those_who_subscribed_until_they_close() {
    let (author, other) = (Keys::generate(), Keys::generate());
    let mut served = Served::new(&[]);
    let new = |n: u64| note_event(&author, format!("{n}"), Millis(NOW.0 + n));
    served.ask(&req(
        "theirs",
        &[Filter::new().author(author.public_key()).limit(0)],
    ));
    served.ask(&req("not", &[Filter::new().author(other.public_key())]));
    let event = new(1);
    assert!(served.client.wants(&event));
    served.client.forward(&event, &event.as_json().into());
    let heard = served.hear();
    assert_eq!(
        heard,
        [json!(["EVENT", "theirs", serde_json::to_value(&event).unwrap()])]
    );
    // What is on its way when it closes does not come.
    served.client.forward(&new(2), &new(2).as_json().into());
    assert_eq!(served.ask(r#"["CLOSE","theirs"]"#), [Value::Null; 0]);
    assert!(!served.client.wants(&new(3)));
}

#[test]
fn what_is_published_is_given_to_the_node_and_answered_with_the_outcome() {
    let author = Keys::generate();
    let event = note_event(&author, "さざなみ".into(), NOW);
    let mut served = Served::new(&[]);
    assert_eq!(
        served.say(&ClientMessage::event(event.clone()).as_json()),
        Some(event.clone())
    );
    assert!(served.hear().is_empty(), "nothing is said before it is stored");
    for (outcome, accepted, prefix) in [
        (Put::Stored, true, ""),
        (Put::Duplicate, true, "duplicate: "),
        (Put::Superseded, false, "blocked: "),
        (Put::Deleted, false, "blocked: "),
        (Put::Expired, false, "invalid: "),
        (Put::NoRoom, false, "blocked: "),
        (Put::Invalid(Invalid::Kind), false, "blocked: "),
        (Put::Invalid(Invalid::Signature), false, "invalid: "),
        (Put::Invalid(Invalid::Future), false, "invalid: "),
    ] {
        served
            .client
            .stored(std::slice::from_ref(&event), &[outcome], &mut served.host, NOW);
        let heard = served.hear();
        assert_eq!(heard.len(), 1);
        assert_eq!(
            heard[0].as_array().unwrap()[..3],
            [json!("OK"), json!(event.id.to_hex()), json!(accepted)]
        );
        assert!(heard[0][3].as_str().unwrap().starts_with(prefix), "{heard:?}");
    }
    let protected =
        nostr::prelude::EventBuilder::new(Kind::TextNote, "mine").tag(Tag::custom("-", Vec::<String>::new()));
    let protected = nostr::prelude::FinalizeEvent::finalize(protected, &author).unwrap();
    let heard = served.ask(&ClientMessage::event(protected).as_json());
    assert!(
        heard[0][3].as_str().unwrap().starts_with("blocked: "),
        "{heard:?}"
    );
}

#[test]
fn every_bad_message_is_answered_by_what_the_client_waits_for() {
    let id = EventId::from_byte_array([7; 32]).to_hex();
    let mut served = Served::new(&[]);
    for (text, label, second) in [
        ("garbage".to_owned(), "NOTICE", None),
        (r#"{"a":1}"#.to_owned(), "NOTICE", None),
        ("[]".to_owned(), "NOTICE", None),
        (r#"["SHOUT","x"]"#.to_owned(), "NOTICE", None),
        (r#"["EVENT",{"kind":1}]"#.to_owned(), "NOTICE", None),
        (
            format!(r#"["EVENT",{{"id":"{id}","kind":"x"}}]"#),
            "OK",
            Some(id.as_str()),
        ),
        (r#"["REQ","a",{"kinds":"x"}]"#.to_owned(), "CLOSED", Some("a")),
        (r#"["REQ","a"]"#.to_owned(), "CLOSED", Some("a")),
        (r#"["REQ","a",{"search":"x"}]"#.to_owned(), "CLOSED", Some("a")),
        (format!(r#"["REQ","{}",{{}}]"#, "x".repeat(65)), "NOTICE", None),
        (r#"["REQ","",{}]"#.to_owned(), "NOTICE", None),
        (r#"["COUNT","a",{}]"#.to_owned(), "CLOSED", Some("a")),
        (r#"["NEG-OPEN","n",{},"zz"]"#.to_owned(), "NEG-ERR", Some("n")),
        (r#"["NEG-OPEN","n",{},""]"#.to_owned(), "NEG-ERR", Some("n")),
        (r#"["NEG-MSG","n","61"]"#.to_owned(), "NEG-ERR", Some("n")),
    ] {
        let heard = served.ask(&text);
        assert_eq!(heard.len(), 1, "{text}: {heard:?}");
        assert_eq!(heard[0][0], label, "{text}: {heard:?}");
        if let Some(second) = second {
            assert_eq!(heard[0][1], second, "{text}");
        }
    }
    assert_eq!(served.client.end_reason(), None, "a few are forgiven");
}

#[test]
fn nonsense_and_forgeries_end_the_connection_and_shut_out_the_address() {
    let mut served = Served::new(&[]);
    for _ in 0..99 {
        served.ask("nonsense");
    }
    assert_eq!(served.client.end_reason(), None);
    served.ask("nonsense");
    assert!(served.client.end_reason().is_some());
    assert_eq!(
        served.ask("nonsense"),
        [Value::Null; 0],
        "nothing is said after the end"
    );

    let address = HostAddress::from(IpAddr::from([192, 0, 2, 1]));
    let mut hosts = Hosts::default();
    let host = hosts.enter(address, NOW).unwrap();
    let event = note_event(&Keys::generate(), "x".into(), NOW);
    let mut client = Client::new(NOW);
    let forged = Put::Invalid(Invalid::Signature);
    client.stored(&vec![event; 20], &vec![forged; 20], host, NOW);
    assert!(client.end_reason().is_some());
    hosts.leave(address);
    assert!(hosts.enter(address, NOW).is_none());
    assert!(
        hosts
            .enter(HostAddress::from(IpAddr::from([192, 0, 2, 2])), NOW)
            .is_some()
    );
    assert!(
        hosts.enter(address, NOW + Duration::from_secs(3_600)).is_some(),
        "not for good"
    );
}

#[test]
fn one_address_has_a_bounded_number_of_connections() {
    let mut hosts = Hosts::default();
    // A /64 is one address.
    let address = |n: u16| HostAddress::from(IpAddr::from([0x2001, 0xdb8, 0, 0, n, 0, 0, 1]));
    let entered = (0..100)
        .filter(|n| hosts.enter(address(*n), NOW).is_some())
        .count();
    assert_eq!(entered, 32);
    hosts.leave(address(7));
    assert!(hosts.enter(address(8), NOW).is_some() && hosts.enter(address(9), NOW).is_none());
    for n in 0..10_000u32 {
        let address = HostAddress::from(IpAddr::from(n.to_be_bytes()));
        if hosts.enter(address, NOW).is_some() {
            hosts.leave(address);
        }
    }
    assert!(hosts.len() <= 4_096);
}

#[test]
fn subscriptions_and_filters_are_bounded() {
    let mut served = Served::new(&[]);
    for n in 0..client::MAX_SUBSCRIPTIONS {
        assert_eq!(
            served.ask(&req(&n.to_string(), &[Filter::new()])),
            [json!(["EOSE", n.to_string()])]
        );
    }
    let heard = served.ask(&req("one more", &[Filter::new()]));
    assert!(heard[0][0] == "CLOSED" && heard[0][2].as_str().unwrap().starts_with("rate-limited: "));
    // One that is asked again is not one more.
    assert_eq!(served.ask(&req("0", &[Filter::new()]))[0][0], "EOSE");
    served.ask(r#"["CLOSE","1"]"#);
    assert_eq!(
        served.ask(&req("1", &vec![Filter::new(); client::MAX_FILTERS + 1]))[0][0],
        "CLOSED"
    );
    let many = (0..5_000u32).map(|n| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        EventId::from_byte_array(id)
    });
    assert_eq!(served.ask(&req("1", &[Filter::new().ids(many)]))[0][0], "CLOSED");
}

#[test]
fn a_client_that_does_not_read_gets_no_more_than_its_window() {
    let author = Keys::generate();
    let long = |n: u64| note_event(&author, format!("{n}{}", "x".repeat(20_000)), Millis(NOW.0 - n));
    let events: Vec<Event> = (0..60).map(long).collect();
    let mut served = Served::new(&events);
    served.say(&req("a", &[Filter::new()]));
    let first = served.client.poll(&mut served.host, &served.store, NOW).unwrap();
    let bytes: usize = first.iter().map(String::len).sum();
    assert!((256 * 1024..300 * 1024).contains(&bytes), "{bytes}");
    assert!(
        served
            .client
            .poll(&mut served.host, &served.store, NOW)
            .unwrap()
            .is_empty()
    );
    // New events do not pile up either: the subscription is closed, and asked again.
    for n in 0..60 {
        let event = long(100 + n);
        served.client.forward(&event, &event.as_json().into());
    }
    served.client.drained(bytes);
    let heard = served.hear();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0][0] == "CLOSED" && heard[0][2].as_str().unwrap().starts_with("error: "));
    // Nor answers.
    served.client.poll(&mut served.host, &served.store, NOW).unwrap();
    let events = vec![events[0].clone(); 20_000];
    served
        .client
        .stored(&events, &vec![Put::Duplicate; 20_000], &mut served.host, NOW);
    assert!(served.client.end_reason().is_some());
}

#[test]
fn floods_are_refused_and_an_honest_author_is_not_limited_by_them() {
    let mut served = Served::new(&[]);
    let event = note_event(&Keys::generate(), "x".into(), NOW);
    let text = ClientMessage::event(event).as_json();
    let taken = (0..10_100).filter(|_| served.say(&text).is_some()).count();
    assert_eq!(taken, 10_000);
    let heard = served.hear();
    assert_eq!(heard.len(), 100);
    assert!(heard[0][3].as_str().unwrap().starts_with("rate-limited: "));
    // History comes at the pace of the store.
    let old = note_event(&Keys::generate(), "x".into(), Millis(NOW.0 - 3_600_000));
    assert!(served.say(&ClientMessage::event(old).as_json()).is_some());

    let mut asking = Served::new(&[]);
    let answers: Vec<Value> = (0..5_010)
        .flat_map(|n| asking.ask(&req(&format!("{}", n % 8), &[Filter::new().limit(0)])))
        .collect();
    assert_eq!(answers.iter().filter(|answer| answer[0] == "EOSE").count(), 5_000);
    assert!(
        answers.last().unwrap()[2]
            .as_str()
            .unwrap()
            .starts_with("rate-limited: ")
    );
}

#[test]
fn a_client_without_subscriptions_that_says_nothing_is_let_go() {
    let later = NOW + Duration::from_secs(600);
    let mut idle = Client::new(NOW);
    idle.tick(NOW + Duration::from_secs(599));
    assert_eq!(idle.end_reason(), None);
    idle.tick(later);
    assert!(idle.end_reason().is_some());
    let mut served = Served::new(&[]);
    served.ask(&req("a", &[Filter::new()]));
    served.client.tick(later);
    assert_eq!(
        served.client.end_reason(),
        None,
        "somebody who waits for events is not idle"
    );
}

#[test]
fn expired_events_are_not_sent() {
    let author = Keys::generate();
    let soon = nostr::prelude::EventBuilder::new(Kind::TextNote, "soon gone")
        .tag(Tag::expiration(Timestamp::from(NOW.0 / 1_000 + 10)))
        .custom_created_at(NOW.timestamp());
    let soon = nostr::prelude::FinalizeEvent::finalize(soon, &author).unwrap();
    let mut served = Served::new(&[soon]);
    assert_eq!(ids(&served.ask(&req("a", &[Filter::new()])), "a").len(), 1);
    served.now = NOW + Duration::from_secs(11);
    assert_eq!(served.ask(&req("a", &[Filter::new()])), [json!(["EOSE", "a"])]);
}

/// What a client that has `own` finds out by NIP-77: what it lacks, and what the relay lacks.
fn reconcile(served: &mut Served, filter: &Filter, own: &[Event]) -> (Vec<EventId>, Vec<EventId>) {
    let items = own.iter().map(|event| crate::store::Item {
        created_at: event.created_at.as_secs(),
        id: event.id,
    });
    let set = ItemSet::new(items.collect());
    let (mut need, mut have) = (Vec::new(), Vec::new());
    let open = ClientMessage::neg_open(
        SubscriptionId::new("n"),
        filter.clone(),
        hex::encode(initiate(&set)),
    );
    let mut heard = served.ask(&open.as_json());
    loop {
        assert_eq!((heard.len(), &heard[0][0]), (1, &json!("NEG-MSG")), "{heard:?}");
        let answer = hex::decode(heard[0][2].as_str().unwrap()).unwrap();
        let learnt = learn(&set, &answer, 60_000).unwrap();
        need.extend(learnt.need);
        have.extend(learnt.have);
        let Some(next) = learnt.next else {
            break;
        };
        heard = served.ask(&format!(r#"["NEG-MSG","n","{}"]"#, hex::encode(next)));
    }
    assert!(served.ask(r#"["NEG-CLOSE","n"]"#).is_empty());
    (need, have)
}

#[test]
fn any_filter_can_be_reconciled() {
    let (author, other) = (Keys::generate(), Keys::generate());
    let (theirs, others) = (notes(&author, 40), notes(&other, 10));
    let reply = social::reply_event(&author, &others[0], "reply".into(), NOW);
    let mut served = Served::new(&[theirs[3..].to_vec(), others.clone(), vec![reply.clone()]].concat());
    let by_author = Filter::new().author(author.public_key()).kind(Kind::TextNote);
    let (need, have) = reconcile(&mut served, &by_author, &theirs);
    assert_eq!(need, [reply.id]);
    assert_eq!(have.len(), 3, "and the client sends what this side lacks");
    assert!(theirs[..3].iter().all(|event| have.contains(&event.id)));
    let (need, have) = reconcile(&mut served, &Filter::new().event(others[0].id), &[]);
    assert_eq!((need, have), (vec![reply.id], vec![]));
    let (need, _) = reconcile(&mut served, &Filter::new(), &[]);
    assert_eq!(need.len(), 37 + 10 + 1);
}

#[test]
fn reconciliations_are_bounded() {
    let mut served = Served::new(&[]);
    let mut open = |id: &str| {
        let text = ClientMessage::neg_open(SubscriptionId::new(id), Filter::new(), "6100000200".into());
        served.ask(&text.as_json()).remove(0)
    };
    assert!(["a", "b", "c", "d"].iter().all(|id| open(id)[0] == "NEG-MSG"));
    let refused = open("e");
    assert!(refused[0] == "NEG-ERR" && refused[2].as_str().unwrap().starts_with("blocked: "));
    assert_eq!(open("a")[0], "NEG-MSG", "opened again, it begins again");
    let answers: Vec<Value> = (0..30).map(|_| open("a")).collect();
    assert!(
        answers.last().unwrap()[2]
            .as_str()
            .unwrap()
            .starts_with("rate-limited: ")
    );
}

#[test]
fn the_information_document_says_what_is_limited() {
    let document: Value = serde_json::from_str(&information()).unwrap();
    assert!(
        document["supported_nips"]
            .as_array()
            .unwrap()
            .contains(&json!(77))
    );
    assert_eq!(document["limitation"]["max_message_length"], MAX_MESSAGE);
}
