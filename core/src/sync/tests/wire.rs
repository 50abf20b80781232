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
