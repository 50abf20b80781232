use std::collections::BTreeSet;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

const LIMIT: usize = 256 * 1024;

fn item(n: u32) -> Item {
    let id: [u8; 32] = Sha256::digest(n.to_be_bytes()).into();
    Item {
        // Many share a second.
        created_at: 1_700_000_000 + u64::from(id[0]) * 7 + u64::from(n / 3),
        id: EventId::from_byte_array(id),
    }
}

fn items(numbers: impl IntoIterator<Item = u32>) -> ItemSet {
    ItemSet::new(numbers.into_iter().map(item).collect())
}

fn ids(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<EventId> {
    numbers.into_iter().map(|n| item(n).id).collect()
}

#[derive(Debug, Default)]
struct Outcome {
    need: BTreeSet<EventId>,
    have: BTreeSet<EventId>,
    round_trips: usize,
    bytes: usize,
    largest: usize,
}

impl Outcome {
    fn take(&mut self, learnt: Learnt) -> Option<Vec<u8>> {
        self.need.extend(learnt.need);
        self.have.extend(learnt.have);
        learnt.next
    }

    fn saw(&mut self, message: &[u8]) {
        self.bytes += message.len();
        self.largest = self.largest.max(message.len());
    }
}

fn reconcile(own: &ItemSet, other: &ItemSet, limit: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = Some(initiate(own));
    while let Some(message) = next {
        let answer = respond(other, &message, limit).unwrap();
        outcome.saw(&message);
        outcome.saw(&answer);
        outcome.round_trips += 1;
        assert!(outcome.round_trips < 10_000, "it never ends");
        next = outcome.take(learn(own, &answer, limit).unwrap());
    }
    outcome
}

fn reference(set: &ItemSet) -> NegentropyStorageVector {
    let mut vector = NegentropyStorageVector::new();
    for item in set.range(0, set.len()) {
        vector
            .insert(item.created_at, Id::from_byte_array(item.id.to_bytes()))
            .unwrap();
    }
    vector.seal().unwrap();
    vector
}

fn sets() -> impl Strategy<Value = (BTreeSet<u32>, BTreeSet<u32>)> {
    let common = prop::collection::btree_set(0..20_000u32, 0..3_000);
    let some = || prop::collection::btree_set(20_000..40_000u32, 0..300);
    (common, some(), some(), any::<bool>()).prop_map(|(common, a, b, alone)| {
        let own = a.union(&common).copied().collect();
        let other = if alone {
            b
        } else {
            b.union(&common).copied().collect()
        };
        (own, other)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_sides_learn_exactly_what_differs((own, other) in sets(), limit in 4_096usize..50_000) {
        let outcome = reconcile(&items(own.clone()), &items(other.clone()), limit);
        prop_assert_eq!(outcome.need, ids(other.difference(&own).copied()));
        prop_assert_eq!(outcome.have, ids(own.difference(&other).copied()));
        prop_assert!(outcome.largest <= limit, "{} of {limit}", outcome.largest);
    }

    #[test]
    fn it_speaks_with_the_reference_in_both_roles((own, other) in sets(), limit in 4_096usize..50_000) {
        let (a, b) = (items(own.clone()), items(other.clone()));
        let theirs = reference(&b);
        let expected = (ids(other.difference(&own).copied()), ids(own.difference(&other).copied()));

        let mut outcome = Outcome::default();
        let mut next = Some(initiate(&a));
        while let Some(message) = next {
            let answer = Negentropy::borrowed(&theirs, limit as u64).unwrap().reconcile(&message).unwrap();
            next = outcome.take(learn(&a, &answer, limit).unwrap());
        }
        prop_assert_eq!((&outcome.need, &outcome.have), (&expected.0, &expected.1));

        let mut asking = Negentropy::borrowed(&theirs, limit as u64).unwrap();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut next = Some(asking.initiate().unwrap());
        while let Some(message) = next {
            let answer = respond(&a, &message, limit).unwrap();
            next = asking.reconcile_with_ids(&answer, &mut have, &mut need).unwrap();
        }
        let set = |ids: Vec<Id>| ids.into_iter().map(|id| EventId::from_byte_array(id.to_bytes())).collect::<BTreeSet<_>>();
        prop_assert_eq!((set(have), set(need)), expected);
    }

    #[test]
    fn sets_that_change_between_messages_hide_nothing_that_stays(
        (own, other) in sets(),
        changes in prop::collection::vec((any::<bool>(), 50_000..60_000u32), 0..400),
    ) {
        // What is on one side from beginning to end is found, whatever comes and goes meanwhile.
        let (mut a, mut b) = (items(own.clone()), items(other.clone()));
        let mut changes = changes.into_iter();
        let mut outcome = Outcome::default();
        let mut next = Some(initiate(&a));
        let mut rounds = 0;
        while let Some(message) = next {
            rounds += 1;
            prop_assert!(rounds < 100);
            let answer = respond(&b, &message, 8_192).unwrap();
            for (side, n) in changes.by_ref().take(40) {
                let set = if side { &mut a } else { &mut b };
                if !set.insert(item(n)) {
                    set.remove(&item(n));
                }
            }
            next = outcome.take(learn(&a, &answer, 8_192).unwrap());
        }
        let missing = ids(other.difference(&own).copied());
        prop_assert!(outcome.need.is_superset(&missing), "{} are not found", missing.difference(&outcome.need).count());
    }

    #[test]
    fn nonsense_is_refused_or_answered_within_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cut in 0..400usize,
    ) {
        let set = items(0..2_000);
        let mut message = initiate(&items(1_000..3_000));
        message.truncate(cut);
        message.extend(&bytes);
        for message in [[&[VERSION], bytes.as_slice()].concat(), message] {
            if let Ok(answer) = respond(&set, &message, 8_192) {
                prop_assert!(answer.len() <= 8_192);
            }
            let _ = learn(&set, &message, 8_192);
        }
    }
}

#[test]
fn it_takes_few_round_trips_and_bytes() {
    let own = items(0..100_000);
    let differing = |count: u32| items((0..100_000).filter(|n| n % (100_000 / count) != 7));
    let table = [
        ("equal", items(0..100_000), 0, 1, 400),
        (
            "1 differs",
            items((0..100_000).filter(|n| *n != 54_321)),
            1,
            2,
            2_500,
        ),
        ("1,000 scattered", differing(1_000), 1_000, 3, 600_000),
    ];
    println!("100,000 items    round trips   bytes   largest message");
    for (name, other, missing, round_trips, bytes) in table {
        for (a, b) in [(&own, &other), (&other, &own)] {
            let outcome = reconcile(a, b, LIMIT);
            println!(
                "{name:16} {:11} {:7} {:17}",
                outcome.round_trips, outcome.bytes, outcome.largest
            );
            assert_eq!(outcome.need.len() + outcome.have.len(), missing);
            assert!(outcome.round_trips <= round_trips, "{outcome:?}");
            assert!(outcome.bytes <= bytes, "{} bytes", outcome.bytes);
        }
    }
}
