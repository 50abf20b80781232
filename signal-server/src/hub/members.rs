//! The members of one topic, with a fair sample of them in constant time per member asked for.

use std::collections::HashMap;

use rand::Rng;
use rand::seq::index;

use super::ConnectionId;

/// A set that can be sampled: a list for the drawing, and where in it each member stands.
#[derive(Debug, Default)]
pub(crate) struct Members {
    list: Vec<ConnectionId>,
    places: HashMap<ConnectionId, usize>,
}

impl Members {
    pub(crate) fn insert(&mut self, id: ConnectionId) {
        if !self.places.contains_key(&id) {
            self.places.insert(id, self.list.len());
            self.list.push(id);
        }
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) {
        let Some(place) = self.places.remove(&id) else {
            return;
        };
        self.list.swap_remove(place);
        if let Some(&moved) = self.list.get(place) {
            self.places.insert(moved, place);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many members there are other than `asker`.
    pub(crate) fn others(&self, asker: Option<ConnectionId>) -> usize {
        self.list.len() - usize::from(asker.is_some_and(|asker| self.places.contains_key(&asker)))
    }

    /// At most `most` members other than `asker`, every one equally likely, in any order.
    pub(crate) fn sample(
        &self,
        asker: Option<ConnectionId>,
        most: usize,
        rng: &mut impl Rng,
    ) -> Vec<ConnectionId> {
        let own = asker.and_then(|asker| self.places.get(&asker).copied());
        let others = self.others(asker);
        let drawn = index::sample(rng, others, most.min(others));
        // Draw from the list without the asker's place: from there on, everybody stands one further.
        drawn
            .into_iter()
            .map(|i| self.list[i + usize::from(own.is_some_and(|own| i >= own))])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_sample_is_bounded_fair_and_without_the_asker() {
        let mut members = Members::default();
        for id in 0..100 {
            members.insert(ConnectionId(id));
            members.insert(ConnectionId(id));
        }
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn = vec![0; 100];
        for _ in 0..2_000 {
            let sample = members.sample(Some(ConnectionId(42)), 16, &mut rng);
            assert_eq!(sample.iter().collect::<HashSet<_>>().len(), 16, "no one twice");
            for id in sample {
                drawn[id.0 as usize] += 1;
            }
        }
        assert_eq!(drawn[42], 0);
        // 2,000 × 16 / 99 = 323 expected, standard deviation below 17.
        for (id, count) in drawn.iter().enumerate().filter(|(id, _)| *id != 42) {
            assert!((220..430).contains(count), "{id} was drawn {count} times");
        }
    }

    #[test]
    fn who_left_is_not_drawn() {
        let mut members = Members::default();
        for id in 0..5 {
            members.insert(ConnectionId(id));
        }
        members.remove(ConnectionId(0));
        members.remove(ConnectionId(4));
        members.remove(ConnectionId(4));
        let mut rng = StdRng::seed_from_u64(1);
        let mut all = members.sample(Some(ConnectionId(9)), 16, &mut rng);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3].map(ConnectionId));
        for id in 1..4 {
            members.remove(ConnectionId(id));
        }
        assert!(members.is_empty());
        assert!(members.sample(Some(ConnectionId(1)), 16, &mut rng).is_empty());
    }
}
