//! What two sessions put on the wire to find out what differs: round trips and bytes, both directions together.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::*;

const COUNT: u32 = 100_000;

/// Notes that nobody signed.
fn unsigned(numbers: impl Iterator<Item = u32>) -> Vec<Event> {
    let pattern = notes(1).remove(0);
    numbers
        .map(|n| {
            let id: [u8; 32] = Sha256::digest(n.to_be_bytes()).into();
            let mut event = pattern.clone();
            event.id = EventId::from_byte_array(id);
            event.created_at = Millis(START.0 - u64::from(n) * 3_000).timestamp();
            event
        })
        .collect()
}

/// The messages of reconciliations, each with the bytes that it takes on the wire at most.
fn reconciling(tap: &Tap) -> (usize, usize) {
    let (mut questions, mut bytes) = (0, 0);
    for message in &tap.messages {
        let counted = matches!(
            message,
            Message::NegOpen { .. } | Message::NegMsg { .. } | Message::NegEnd { .. } | Message::NegClose(_)
        );
        if counted {
            let mut packer = pack::Packer::default();
            packer.add(message);
            let unit = packer.take(true);
            bytes += frame::split_unit(&unit).map(|frame| frame.len()).sum::<usize>();
            questions += usize::from(matches!(
                message,
                Message::NegOpen { .. } | Message::NegMsg { .. }
            ));
        }
    }
    (questions, bytes)
}

struct Figures {
    round_trips: usize,
    bytes: usize,
}

fn sync(only_a: &[u32], only_b: &[u32]) -> Figures {
    let only: BTreeSet<u32> = only_a.iter().chain(only_b).copied().collect();
    let common = |n: &u32| !only.contains(n);
    let shared = unsigned((0..COUNT).filter(common));
    let mut pair = Pair::new(&[], &[]);
    for (end, own) in [(&mut pair.a, only_a), (&mut pair.b, only_b)] {
        end.trusting = true;
        end.store.put_verified(&shared, START).unwrap();
        end.store
            .put_verified(&unsigned(own.iter().copied()), START)
            .unwrap();
        end.store.take_changes();
    }
    for _ in 0..5 {
        pair.settle();
        pair.now = pair.now + Duration::from_secs(1);
        pair.a.tick(pair.now);
        pair.b.tick(pair.now);
    }
    for end in [&pair.a, &pair.b] {
        assert_eq!(end.ended, None);
        assert_eq!(end.live, 1, "it ends");
        assert_eq!(end.notes(), COUNT as usize);
    }
    let (a, b) = (reconciling(&pair.from_a), reconciling(&pair.from_b));
    Figures {
        // Every question has one answer.
        round_trips: (a.0 + b.0) / 2,
        bytes: a.1 + b.1,
    }
}

#[test]
fn sessions_take_few_round_trips_and_bytes() {
    let scattered = |offset: u32| (0..500).map(|n| n * 200 + offset).collect::<Vec<u32>>();
    println!("{COUNT} events in all         round trips   bytes, both ways");
    for (name, only_a, only_b, round_trips, bytes) in [
        ("equal", vec![], vec![], 1, 499),
        ("a lacks one", vec![], vec![54_321], 3, 3_000),
        ("b lacks one", vec![54_321], vec![], 3, 3_000),
        ("1,000 scattered", scattered(3), scattered(117), 4, 700_000),
    ] {
        let figures = sync(&only_a, &only_b);
        println!("{name:28} {:12} {:12}", figures.round_trips, figures.bytes);
        assert!(
            figures.round_trips <= round_trips,
            "{name}: {}",
            figures.round_trips
        );
        assert!(figures.bytes <= bytes, "{name}: {}", figures.bytes);
    }
}

#[test]
fn a_newcomer_takes_everything_once_and_is_no_flood() {
    const HISTORY: usize = 20_000;
    let mut pair = Pair::new(&[], &[]);
    pair.a.trusting = true;
    let history = unsigned(0..HISTORY as u32);
    pair.b.store.put_verified(&history, START).unwrap();
    pair.b.store.take_changes();
    for _ in 0..5 {
        pair.settle();
        pair.now = pair.now + Duration::from_secs(1);
        pair.a.tick(pair.now);
        pair.b.tick(pair.now);
    }
    assert_eq!((&pair.a.ended, &pair.b.ended), (&None, &None));
    assert_eq!((pair.a.arrived, pair.a.notes()), (HISTORY, HISTORY));
    assert_eq!(pair.a.session.score().points(pair.now), 0.0);
    let text: usize = history.iter().map(|event| event.as_json().len()).sum();
    println!(
        "{HISTORY} events of {text} bytes took {} bytes, and {} to ask",
        pair.from_b.bytes, pair.from_a.bytes
    );
    assert!(pair.from_b.bytes < text);
}

#[test]
fn a_flood_of_new_events_is_cut_off_and_told_why() {
    let (mut pair, _) = attacked();
    pair.a.trusting = true;
    pair.a.frames();
    let live = pair.a.session.live_id().expect("it has subscribed").to_owned();
    let mut sent = 0;
    for event in unsigned(0..30_000) {
        sent += 1;
        let message = Message::Event {
            id: live.clone(),
            event: Box::new(event),
        };
        say(&mut pair, &message.to_json());
        if pair.a.ended.is_some() {
            break;
        }
    }
    assert!((10_000..12_000).contains(&sent), "{sent}");
    assert!(pair.a.arrived <= 10_000, "what is over costs nothing more");
    assert_eq!(pair.a.ended, Some(("too many new events".into(), true)));
    let notices: Vec<Message> = pair
        .a
        .frames()
        .iter()
        .flat_map(|frame| pair.from_a.read(frame))
        .collect();
    let until = (pair.now + crate::mesh::BAN).0 / 1_000;
    let reason = format!("banned: too many new events, until {until}");
    assert_eq!(notices, [Message::Notice(reason)]);
}
