use nostr::prelude::{EventBuilder, FinalizeEvent, Keys, Kind};

use super::*;

use crate::identity::MemoryVault;
use crate::node::api::{Change, FromNode};
use crate::node::{Config, Input};
use crate::store::MemoryStore;
use crate::transport::Route;

const NOW: Millis = Millis(1_700_000_000_000);

fn notes(count: usize) -> Vec<Event> {
    let keys = Keys::generate();
    let note = |n| {
        EventBuilder::new(Kind::TextNote, format!("{n}"))
            .custom_created_at(NOW.timestamp())
            .finalize(&keys)
            .unwrap()
    };
    (0..count).map(note).collect()
}

fn forged(event: &Event) -> Event {
    let mut forged = event.clone();
    forged.sig = notes(1)[0].sig;
    forged
}

fn origin(link: u64) -> Origin {
    Origin {
        source: Source::Link(LinkId(link)),
        peer: Some((SessionId(Keys::generate().public_key()), None)),
    }
}

fn jobs(verifying: &mut Verifying) -> Vec<Job> {
    std::iter::from_fn(|| verifying.job(NOW)).collect()
}

fn arrive(verifying: &mut Verifying, link: u64, live: bool, events: &[Event]) {
    verifying.arrived(origin(link), live, events.to_vec(), &BTreeSet::new());
}

fn answer(verifying: &mut Verifying, job: &Job) {
    let holds: Vec<bool> = job.events().map(|event| event.verify().is_ok()).collect();
    verifying.answered(job.number(), &holds);
}

/// Which link's events would be stored now, with what was found.
fn ready(verifying: &mut Verifying) -> Vec<(u64, Vec<Event>, Vec<Verdict>)> {
    let ready = verifying.ready().into_iter();
    ready
        .map(|batch| match batch.origin.source {
            Source::Link(link) => (link.0, batch.events, batch.verdicts),
            Source::Client(_) => unreachable!("no client here"),
        })
        .collect()
}

#[test]
fn an_event_from_several_links_is_verified_once() {
    let mut verifying = Verifying::new(2);
    let events = notes(3);
    arrive(&mut verifying, 1, false, &events);
    arrive(&mut verifying, 2, true, &events[1..2]);
    let given = jobs(&mut verifying);
    assert_eq!(given.iter().map(|job| job.events().len()).sum::<usize>(), 3);
    given.iter().for_each(|job| answer(&mut verifying, job));
    let stored = ready(&mut verifying);
    assert_eq!(stored.len(), 2);
    assert!(
        stored
            .iter()
            .all(|(_, _, verdicts)| verdicts.iter().all(|v| *v == Verdict::Holds))
    );
    // And not again shortly after, though the store may not have kept it.
    arrive(&mut verifying, 3, true, &events);
    assert!(jobs(&mut verifying).is_empty());
    assert_eq!(ready(&mut verifying)[0].2, [Verdict::Holds; 3]);
}

#[test]
fn a_forged_copy_does_not_speak_for_the_true_event() {
    let mut verifying = Verifying::new(2);
    let good = notes(1).remove(0);
    let bad = forged(&good);
    arrive(&mut verifying, 1, true, std::slice::from_ref(&bad));
    arrive(&mut verifying, 2, true, std::slice::from_ref(&good));
    arrive(&mut verifying, 3, true, std::slice::from_ref(&bad));
    jobs(&mut verifying)
        .iter()
        .for_each(|job| answer(&mut verifying, job));
    let mut verdicts: Vec<_> = ready(&mut verifying)
        .into_iter()
        .map(|(link, _, v)| (link, v))
        .collect();
    verdicts.sort_by_key(|(link, _)| *link);
    let no = vec![Verdict::Invalid(Invalid::Signature)];
    assert_eq!(verdicts, [(1, no.clone()), (2, vec![Verdict::Holds]), (3, no)]);
    // Nor does what is remembered of the true one.
    arrive(&mut verifying, 4, true, &[bad]);
    assert_eq!(jobs(&mut verifying).len(), 1);
}

#[test]
fn what_is_remembered_is_an_event_and_not_a_name() {
    let mut verifying = Verifying::new(1);
    let good = notes(1).remove(0);
    arrive(&mut verifying, 1, true, std::slice::from_ref(&good));
    jobs(&mut verifying)
        .iter()
        .for_each(|job| answer(&mut verifying, job));
    ready(&mut verifying);
    let mut other = good;
    other.content.push('!');
    arrive(&mut verifying, 1, true, &[other]);
    let given = jobs(&mut verifying);
    answer(&mut verifying, &given[0]);
    assert_eq!(ready(&mut verifying)[0].2, [Verdict::Invalid(Invalid::Id)]);
}

#[test]
fn what_the_store_knows_is_not_called_verified() {
    let mut verifying = Verifying::new(1);
    let event = notes(1).remove(0);
    let bad = forged(&event);
    verifying.arrived(origin(1), true, vec![bad], &BTreeSet::from([event.id]));
    assert!(jobs(&mut verifying).is_empty());
    assert_eq!(ready(&mut verifying)[0].2, [Verdict::Known]);
}

#[test]
fn batches_of_a_link_keep_their_order() {
    let mut verifying = Verifying::new(4);
    let events = notes(3);
    arrive(&mut verifying, 1, true, &events[..1]);
    let first = verifying.job(NOW).unwrap();
    arrive(&mut verifying, 1, true, &events[1..2]);
    let second = verifying.job(NOW).unwrap();
    arrive(&mut verifying, 2, true, &events[2..]);
    let third = verifying.job(NOW).unwrap();
    answer(&mut verifying, &second);
    assert!(
        ready(&mut verifying).is_empty(),
        "the one before is not known yet"
    );
    answer(&mut verifying, &third);
    assert_eq!(ready(&mut verifying)[0].0, 2, "another link waits for nobody");
    answer(&mut verifying, &first);
    let stored: Vec<Event> = ready(&mut verifying)
        .into_iter()
        .flat_map(|(_, events, _)| events)
        .collect();
    assert_eq!(stored, events[..2]);
}

#[test]
fn new_events_pass_history_and_history_is_stored_in_bulk() {
    let mut verifying = Verifying::new(1);
    let events = notes(STORE_EVENTS + JOB_EVENTS + 1);
    let (news, history) = events.split_first().unwrap();
    for part in history.chunks(32) {
        arrive(&mut verifying, 1, false, part);
    }
    let given = jobs(&mut verifying);
    assert_eq!(given.len(), JOBS_PER_VERIFIER, "no more than verifiers can take");
    arrive(&mut verifying, 1, true, std::slice::from_ref(news));
    let urgent = jobs(&mut verifying);
    assert_eq!(urgent.len(), 1, "a new event finds a place");
    assert!(urgent[0].is_urgent());
    answer(&mut verifying, &urgent[0]);
    let stored: Vec<Event> = ready(&mut verifying)
        .into_iter()
        .flat_map(|(_, events, _)| events)
        .collect();
    assert_eq!(stored, std::slice::from_ref(news), "at once");
    given.iter().for_each(|job| answer(&mut verifying, job));
    let mut sizes = Vec::new();
    loop {
        let stored = verifying.ready();
        if !stored.is_empty() {
            sizes.push(stored.iter().map(|batch| batch.events.len()).sum::<usize>());
        }
        match verifying.job(NOW) {
            Some(job) => answer(&mut verifying, &job),
            None if stored.is_empty() => break,
            None => {}
        }
    }
    assert_eq!(sizes, [STORE_EVENTS, JOB_EVENTS]);
    assert_eq!((verifying.events, verifying.bytes), (0, 0));
    assert!(verifying.batches.is_empty() && verifying.first.is_empty() && verifying.order.is_empty());
}

#[test]
fn a_lost_job_is_done_here_and_a_wrong_no_is_not_believed() {
    let mut verifying = Verifying::new(1);
    let events = notes(2);
    arrive(&mut verifying, 1, true, &events[..1]);
    let lost = verifying.job(NOW).unwrap();
    verifying.tick(NOW + JOB_LIMIT);
    assert_eq!(ready(&mut verifying)[0].2, [Verdict::Holds]);
    // Too late: nothing happens.
    verifying.answered(lost.number(), &[false]);
    assert!(ready(&mut verifying).is_empty());

    arrive(&mut verifying, 1, true, &events[1..]);
    let broken = verifying.job(NOW).unwrap();
    verifying.answered(broken.number(), &[false]);
    assert_eq!(ready(&mut verifying)[0].2, [Verdict::Holds]);
}

#[test]
fn what_waits_is_bounded() {
    let mut verifying = Verifying::new(1);
    let event = notes(1).remove(0);
    let copies = vec![event; MAX_EVENTS / 2];
    for link in 0..3 {
        arrive(&mut verifying, link, true, &copies);
    }
    assert!(verifying.is_full());
    while verifying.is_full() && (verifying.work_off() || !verifying.ready().is_empty()) {}
    assert!(!verifying.is_full());
}

/// A node with two verifiers, and a link.
fn linked() -> (Node<MemoryStore>, LinkId) {
    let config = Config {
        servers: Vec::new(),
        route: Some(Route::Any),
        verifiers: 2,
        seed: [1; 32],
    };
    let vault = Box::new(MemoryVault::default());
    let mut node = Node::new(config, MemoryStore::default(), vault, NOW).unwrap();
    let link = {
        let telling = node
            .way_to_supposed(crate::social::Ring::Stranger)
            .expect("any way is possible");
        node.open_link(SessionId(Keys::generate().public_key()), telling, true, NOW)
    };
    (node, link)
}

/// What verifiers answer, and in how many transactions something was stored: each tells of its author once.
fn answers(node: &mut Node<MemoryStore>) -> (Vec<Input>, usize) {
    let (mut answers, mut stored) = (Vec::new(), 0);
    while let Some(output) = node.poll_output() {
        match output {
            Output::Verify(job) => answers.push(Input::Verified {
                job: job.number(),
                holds: vec![true; job.events().len()],
            }),
            Output::Interface(FromNode::Changed(Change::Person(_))) => stored += 1,
            _ => {}
        }
    }
    (answers, stored)
}

#[test]
fn a_lone_event_is_stored_at_once_and_a_burst_in_few_transactions() {
    let (mut node, link) = linked();
    let notes = notes(201);
    let arrive = |node: &mut Node<MemoryStore>, note: &Event| {
        node.arrived(Source::Link(link), vec![note.clone()], true, NOW)
            .unwrap();
        node.settle(NOW);
    };
    arrive(&mut node, &notes[0]);
    let (lone, _) = answers(&mut node);
    assert_eq!(lone.len(), 1);
    node.handle_all(lone, NOW);
    assert_eq!(answers(&mut node).1, 1, "at once");

    // Each in a frame of its own; the verifiers answer while the node is storing.
    notes[1..].iter().for_each(|note| arrive(&mut node, note));
    let mut transactions = 0;
    loop {
        let (given, stored) = answers(&mut node);
        transactions += stored;
        if given.is_empty() {
            break;
        }
        node.handle_all(given, NOW);
    }
    assert!(
        notes
            .iter()
            .all(|note| node.store.known(&note.id) == Ok(Known::Stored))
    );
    assert!(transactions <= 3, "{transactions} transactions for 200 events");
}
