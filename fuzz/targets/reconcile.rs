//! Reconciliation messages (NIP-77) of a hostile peer, in both roles, against sets of any size; and what an honest peer
//! gets, whatever the sets.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use nostr::prelude::EventId;
use sazanami_core::store::Item;
use sazanami_core::sync::ItemSet;
use sazanami_core::sync::reconcile::{MAX_MESSAGE, initiate, learn, respond};
use sha2::{Digest, Sha256};

/// What a message may have above its limit, which is "about": one more split range.
const SLACK: usize = 2_048;
/// Smallest limit that is tried.
const LEAST: usize = 4_096;
/// Round trips for two thousand differences at [`LEAST`] bytes each; an endless exchange has more.
const MOST_ROUNDS: usize = 400;

#[derive(arbitrary::Arbitrary, Debug)]
struct Script {
    ours: Items,
    theirs: Items,
    limit: u16,
    messages: Vec<Message>,
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Items {
    count: u16,
    /// Every n-th is missing.
    gap: u8,
    /// Items of one second.
    crowd: u8,
    /// Put in one by one and in part taken out again.
    grown: bool,
}

#[derive(arbitrary::Arbitrary, Debug)]
enum Message {
    Raw(Vec<u8>),
    /// An honest message of the other set, with some bytes changed, cut off or added.
    Bent {
        edits: Vec<(u16, u8)>,
        cut: Option<u16>,
        more: Vec<u8>,
    },
    /// A list of ids for all time, some of them ours.
    Ids(u16),
}

fn item(n: u64, crowd: u8) -> Item {
    // A hash, as ids are: a fingerprint adds ids up, and those in an arithmetic series have equal sums.
    let id = Sha256::digest(n.to_be_bytes());
    Item {
        created_at: n / u64::from(crowd.max(1)),
        id: EventId::from_byte_array(id.into()),
    }
}

impl Items {
    fn set(&self, crowd: u8) -> ItemSet {
        let all = 0..u64::from(self.count % 2_048);
        let here = |n: &u64| self.gap < 2 || n % u64::from(self.gap) != 0;
        if !self.grown {
            return ItemSet::new(all.filter(here).map(|n| item(n, crowd)).collect());
        }
        let mut set = ItemSet::default();
        // Neither in order nor in its reverse.
        for n in all
            .clone()
            .rev()
            .step_by(2)
            .chain(all.clone().step_by(2))
            .chain(all.clone())
        {
            set.insert(item(n, crowd));
        }
        for n in all.filter(|n| !here(n)) {
            assert!(set.remove(&item(n, crowd)));
        }
        set
    }
}

impl Message {
    fn bytes(self, honest: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Bent { edits, cut, more } => {
                let mut bytes = honest.to_vec();
                for (at, byte) in edits.into_iter().take(8) {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= byte;
                }
                if let Some(cut) = cut {
                    bytes.truncate(usize::from(cut));
                }
                bytes.extend(more);
                bytes
            }
            Self::Ids(count) => {
                let count = count % 4_096;
                // Version, upper bound "infinity", mode 2 (id list), number in base 128.
                let mut bytes = vec![0x61, 0, 0, 2];
                if count >= 128 {
                    bytes.push(0x80 | (count >> 7) as u8);
                }
                bytes.push((count & 0x7F) as u8);
                for n in 0..u64::from(count) {
                    bytes.extend(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
                    bytes.extend([0; 24]);
                }
                bytes
            }
        }
    }
}

fuzz_target!(|script: Script| {
    let crowd = script.ours.crowd;
    let (ours, theirs) = (script.ours.set(crowd), script.theirs.set(crowd));
    let limit = LEAST + usize::from(script.limit) % (MAX_MESSAGE - LEAST);
    let mut honest = initiate(&theirs);
    for message in script.messages.into_iter().take(8) {
        let bytes = message.bytes(&honest);
        if let Ok(answer) = respond(&ours, &bytes, limit) {
            assert!(
                answer.len() <= limit + SLACK,
                "{} bytes of answer for {limit}",
                answer.len()
            );
            if let Ok(learnt) = learn(&theirs, &answer, limit) {
                honest = learnt.next.unwrap_or(honest);
            }
        }
        if let Ok(learnt) = learn(&ours, &bytes, limit) {
            assert!(
                learnt.need.len() * 32 <= bytes.len(),
                "more ids than the message has room for"
            );
            assert!(learnt.next.is_none_or(|next| next.len() <= limit + SLACK));
        }
    }
    agree(&ours, &theirs, limit);
});

/// An honest exchange ends, and finds exactly what differs.
fn agree(ours: &ItemSet, theirs: &ItemSet, limit: usize) {
    let ids = |set: &ItemSet| {
        set.range(0, set.len())
            .map(|item| item.id)
            .collect::<BTreeSet<_>>()
    };
    let (mut need, mut have) = (BTreeSet::new(), BTreeSet::new());
    let mut message = initiate(ours);
    for _ in 0..MOST_ROUNDS {
        let answer = respond(theirs, &message, limit).expect("an honest message is answered");
        let learnt = learn(ours, &answer, limit).expect("an honest answer is read");
        need.extend(learnt.need);
        have.extend(learnt.have);
        let Some(next) = learnt.next else {
            let (ours, theirs) = (ids(ours), ids(theirs));
            assert_eq!(need, theirs.difference(&ours).copied().collect(), "needed");
            assert_eq!(have, ours.difference(&theirs).copied().collect(), "had");
            return;
        };
        message = next;
    }
    panic!("no end after {MOST_ROUNDS} round trips");
}
