//! An ordered set of reconciliation items that keeps sums, so that the fingerprint of any range costs about √n.
//!
//! Sorted chunks of bounded size; each knows how many items lie before it and what their ids add up to. A change
//! touches one chunk and the running totals of those after it: next to nothing for the newest items, which are those
//! that change.

use sha2::{Digest, Sha256};

use crate::store::Item;

/// Items in a chunk, at most: about √n of a million, 20 KiB.
const CHUNK: usize = 512;
/// Bytes of a fingerprint (negentropy v1).
pub(super) const FINGERPRINT: usize = 16;

/// Ids added up as 256-bit little-endian numbers, wrapping around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum([u64; 4]);

impl Sum {
    fn of(item: &Item) -> Self {
        let mut lanes = [0; 4];
        for (lane, bytes) in lanes.iter_mut().zip(item.id.as_bytes().as_chunks::<8>().0) {
            *lane = u64::from_le_bytes(*bytes);
        }
        Self(lanes)
    }

    fn add(&mut self, other: Self) {
        let mut carry = false;
        for (lane, more) in self.0.iter_mut().zip(other.0) {
            (*lane, carry) = lane.carrying_add(more, carry);
        }
    }

    fn subtract(&mut self, other: Self) {
        let mut borrow = false;
        for (lane, less) in self.0.iter_mut().zip(other.0) {
            (*lane, borrow) = lane.borrowing_sub(less, borrow);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    items: Vec<Item>,
    sum: Sum,
    /// Items in the chunks before this one, and what they add up to.
    count_before: usize,
    sum_before: Sum,
}

impl Chunk {
    fn new(items: Vec<Item>) -> Self {
        let sum = total(&items);
        Self {
            items,
            sum,
            ..Self::default()
        }
    }
}

fn total(items: &[Item]) -> Sum {
    let mut sum = Sum::default();
    items.iter().for_each(|item| sum.add(Sum::of(item)));
    sum
}

/// The set.
#[derive(Clone, Debug, Default)]
pub struct ItemSet {
    /// None is empty.
    chunks: Vec<Chunk>,
}

impl ItemSet {
    /// Of items in any order, each once.
    pub fn new(mut items: Vec<Item>) -> Self {
        items.sort_unstable();
        items.dedup();
        let chunks = items.chunks(CHUNK).map(|items| Chunk::new(items.to_vec()));
        let mut set = Self {
            chunks: chunks.collect(),
        };
        set.count_from(0);
        set
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.chunks
            .last()
            .map_or(0, |last| last.count_before + last.items.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds an item; false when it is there.
    pub fn insert(&mut self, item: Item) -> bool {
        let Some(at) = self.chunk_of(&item) else {
            self.chunks.insert(0, Chunk::new(vec![item]));
            self.count_from(0);
            return true;
        };
        let is_last = at + 1 == self.chunks.len();
        let chunk = &mut self.chunks[at];
        let Err(place) = chunk.items.binary_search(&item) else {
            return false;
        };
        if chunk.items.len() < CHUNK {
            chunk.items.insert(place, item);
            chunk.sum.add(Sum::of(&item));
        } else if is_last && place == CHUNK {
            // What comes in order leaves full chunks behind.
            self.chunks.push(Chunk::new(vec![item]));
        } else {
            chunk.items.insert(place, item);
            let upper = Chunk::new(chunk.items.split_off(CHUNK / 2));
            chunk.sum = total(&chunk.items);
            self.chunks.insert(at + 1, upper);
        }
        self.count_from(at + 1);
        true
    }

    /// Removes an item; false when it is not there.
    pub fn remove(&mut self, item: &Item) -> bool {
        let Some(at) = self.chunk_of(item) else {
            return false;
        };
        let chunk = &mut self.chunks[at];
        let Ok(place) = chunk.items.binary_search(item) else {
            return false;
        };
        chunk.items.remove(place);
        chunk.sum.subtract(Sum::of(item));
        let left = chunk.items.len();
        if left == 0 {
            self.chunks.remove(at);
        } else if let Some(next) = self.chunks.get(at + 1)
            && left + next.items.len() <= CHUNK / 2
        {
            // Small neighbours become one, so that a set that shrank has few chunks.
            let next = self.chunks.remove(at + 1);
            self.chunks[at].items.extend(next.items);
            self.chunks[at].sum.add(next.sum);
        }
        self.count_from(at);
        true
    }

    /// The item at a place in the order.
    pub fn get(&self, place: usize) -> Option<&Item> {
        let chunk = &self.chunks[self.chunk_at(place)?];
        chunk.items.get(place - chunk.count_before)
    }

    /// The place of the first item that is not below `bound`.
    pub fn lower_bound(&self, bound: &Item) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.items[0] < *bound);
        match after.checked_sub(1).map(|at| &self.chunks[at]) {
            Some(chunk) => chunk.count_before + chunk.items.partition_point(|item| item < bound),
            None => 0,
        }
    }

    /// The items of a range of places.
    pub fn range(&self, from: usize, to: usize) -> impl Iterator<Item = &Item> {
        let first = self.chunk_at(from).unwrap_or(self.chunks.len());
        let skipped = self
            .chunks
            .get(first)
            .map_or(0, |chunk| from - chunk.count_before);
        self.chunks[first..]
            .iter()
            .flat_map(|chunk| &chunk.items)
            .skip(skipped)
            .take(to.saturating_sub(from))
    }

    /// The fingerprint of a range of places (negentropy v1: the hash of the sum of its ids and their number).
    pub fn fingerprint(&self, from: usize, to: usize) -> [u8; FINGERPRINT] {
        let mut sum = self.sum_before(to);
        sum.subtract(self.sum_before(from));
        let mut hash = Sha256::new();
        sum.0.iter().for_each(|lane| hash.update(lane.to_le_bytes()));
        let mut count = Vec::with_capacity(10);
        super::varint::put(&mut count, to.saturating_sub(from) as u64);
        hash.update(&count);
        let hash: [u8; 32] = hash.finalize().into();
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&hash[..FINGERPRINT]);
        fingerprint
    }

    /// What the ids before a place add up to.
    fn sum_before(&self, place: usize) -> Sum {
        let Some(at) = self.chunk_at(place) else {
            return self.chunks.last().map_or_else(Sum::default, |last| {
                let mut sum = last.sum_before;
                sum.add(last.sum);
                sum
            });
        };
        let chunk = &self.chunks[at];
        let (inside, mut sum) = (place - chunk.count_before, chunk.sum_before);
        if inside <= chunk.items.len() / 2 {
            sum.add(total(&chunk.items[..inside]));
        } else {
            sum.add(chunk.sum);
            sum.subtract(total(&chunk.items[inside..]));
        }
        sum
    }

    /// The chunk that has this place.
    fn chunk_at(&self, place: usize) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.count_before <= place);
        (place < self.len()).then(|| after - 1)
    }

    /// The chunk in which an item is or belongs; `None` when there is none yet.
    fn chunk_of(&self, item: &Item) -> Option<usize> {
        let after = self.chunks.partition_point(|chunk| chunk.items[0] <= *item);
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }

    /// Counts anew from this chunk on.
    fn count_from(&mut self, first: usize) {
        let (mut count, mut sum) = match first.checked_sub(1).map(|before| &self.chunks[before]) {
            Some(chunk) => {
                let mut sum = chunk.sum_before;
                sum.add(chunk.sum);
                (chunk.count_before + chunk.items.len(), sum)
            }
            None => (0, Sum::default()),
        };
        for chunk in &mut self.chunks[first..] {
            (chunk.count_before, chunk.sum_before) = (count, sum);
            count += chunk.items.len();
            sum.add(chunk.sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use negentropy::{Id, NegentropyStorageBase, NegentropyStorageVector};
    use nostr::prelude::EventId;
    use proptest::prelude::*;

    use super::*;

    fn item(at: u64, n: u32) -> Item {
        let id = Sha256::digest(n.to_be_bytes());
        Item {
            created_at: at,
            id: EventId::from_byte_array(id.into()),
        }
    }

    /// The same set in the reference implementation.
    fn reference(items: &BTreeSet<Item>) -> NegentropyStorageVector {
        let mut vector = NegentropyStorageVector::new();
        for item in items {
            vector
                .insert(item.created_at, Id::from_byte_array(item.id.to_bytes()))
                .unwrap();
        }
        vector.seal().unwrap();
        vector
    }

    fn check(set: &ItemSet, expected: &BTreeSet<Item>, cuts: &[usize]) {
        assert_eq!(set.len(), expected.len());
        assert!(set.range(0, set.len()).eq(expected));
        assert!(
            set.chunks
                .iter()
                .all(|chunk| (1..=CHUNK).contains(&chunk.items.len()))
        );
        let reference = reference(expected);
        for cut in cuts {
            let (a, b) = (cut % (set.len() + 1), (cut / 7) % (set.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            assert_eq!(
                set.fingerprint(from, to),
                reference.fingerprint(from, to).unwrap().to_bytes(),
                "{from}..{to} of {}",
                set.len()
            );
            assert!(set.range(from, to).eq(expected.iter().skip(from).take(to - from)));
            assert_eq!(set.get(from), expected.iter().nth(from));
            if let Some(item) = set.get(from) {
                assert_eq!(set.lower_bound(item), from);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_set_that_the_changes_say(
            first in prop::collection::vec((0..50u64, 0..5_000u32), 0..3_000),
            changes in prop::collection::vec((any::<bool>(), 0..60u64, 0..5_000u32), 0..2_000),
            cuts in prop::collection::vec(any::<usize>(), 10),
        ) {
            let first: Vec<Item> = first.into_iter().map(|(at, n)| item(at, n)).collect();
            let mut expected: BTreeSet<Item> = first.iter().copied().collect();
            let mut set = ItemSet::new(first.clone());
            for (add, at, n) in changes {
                let item = item(at, n);
                if add {
                    prop_assert_eq!(set.insert(item), expected.insert(item));
                } else {
                    let item = first.get(n as usize).copied().unwrap_or(item);
                    prop_assert_eq!(set.remove(&item), expected.remove(&item));
                }
            }
            check(&set, &expected, &cuts);
        }
    }

    #[test]
    fn it_grows_in_order_with_full_chunks_and_shrinks_to_nothing() {
        let items: Vec<Item> = (0..10_000).map(|n| item(u64::from(n), n)).collect();
        let mut set = ItemSet::default();
        assert!(items.iter().all(|item| set.insert(*item)));
        assert_eq!(set.chunks.len(), 10_000usize.div_ceil(CHUNK));
        for item in items.iter().step_by(2).chain(items.iter().skip(1).step_by(2)) {
            assert!(set.remove(item));
            assert!(
                set.chunks.len() <= 2 + set.len() / (CHUNK / 8),
                "{} of {}",
                set.chunks.len(),
                set.len()
            );
        }
        assert!(set.is_empty() && set.fingerprint(0, 0) == ItemSet::default().fingerprint(0, 0));
    }
}
