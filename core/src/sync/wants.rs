//! What a peer wants of the others: by trust ring, as far back as each ring is kept.
//!
//! What a peer wants is also what it carries. Everybody's recent events are wanted by everybody, within the budget for
//! strangers, so a post of a friend's friend comes through peers that follow neither. Older ones are with those near.

use std::collections::{BTreeMap, BTreeSet};

use nostr::prelude::{Filter, PublicKey, Timestamp};

use crate::social::{KINDS, Ring};
use crate::store::{Budget, Store, StoreError};
use crate::time::Millis;

/// People of one ring that are asked for by name; 70 KiB compressed, once for each link and change.
const MAX_PEOPLE: usize = 2_000;
/// Ages are rounded to days, so that peers who keep strangers for as long want the very same set all day long.
const DAY: u64 = 24 * 3_600;

/// What a session subscribes to and reconciles.
#[derive(Clone, Debug, PartialEq)]
pub struct Wants {
    /// New events, one subscription each.
    pub live: Vec<Filter>,
    /// Stored events, reconciled one after the other; what the last one finds is fetched first. The first one is what
    /// peers have in common.
    pub history: Vec<Filter>,
}

impl Wants {
    /// Everything of everybody.
    pub fn everything() -> Self {
        Self {
            live: vec![Filter::new().kinds(KINDS)],
            history: vec![Filter::new().kinds(KINDS)],
        }
    }

    /// What the person of this device wants: strangers as long as they are kept, each nearer ring for its own time.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &dyn Store, me: PublicKey, now: Millis) -> Result<Self, StoreError> {
        let strangers = store.budget(Ring::Stranger)?;
        let since = |budget: Budget| {
            budget
                .age
                .map(|age| (now.0 / 1_000).saturating_sub(age).div_ceil(DAY) * DAY)
        };
        let everybody = since(strangers);
        if takes_any(strangers) && everybody.is_none() {
            return Ok(Self::everything());
        }
        let mut near: BTreeMap<Option<u64>, BTreeSet<PublicKey>> = BTreeMap::new();
        for ring in Ring::ALL.into_iter().filter(|ring| *ring != Ring::Stranger) {
            let budget = store.budget(ring)?;
            if takes_any(budget) {
                near.entry(since(budget))
                    .or_default()
                    .extend(store.people_of(ring, MAX_PEOPLE)?);
            }
        }
        near.entry(None).or_default().insert(me);
        let filter = |since: Option<u64>| {
            let filter = Filter::new().kinds(KINDS);
            match since {
                Some(since) => filter.since(Timestamp::from(since)),
                None => filter,
            }
        };
        let mut filters = Vec::new();
        if takes_any(strangers) {
            filters.push(filter(everybody));
        }
        for (since, people) in near.into_iter().rev() {
            // What is wanted of everybody is not asked for once more.
            let covered = takes_any(strangers) && since >= everybody;
            if !people.is_empty() && !covered {
                filters.push(filter(since).authors(people));
            }
        }
        let mut live = filters.clone();
        live.push(Filter::new().kinds(KINDS).pubkey(me));
        Ok(Self {
            live,
            history: filters,
        })
    }
}

fn takes_any(budget: Budget) -> bool {
    budget.events != Some(0) && budget.bytes != Some(0) && budget.age != Some(0)
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use nostr::prelude::{Keys, Kind};

    use super::*;
    use crate::social::follow_event;
    use crate::store::SqliteStore;

    const NOW: Millis = Millis(1_700_000_000_000);

    #[test]
    fn near_people_are_wanted_for_good_and_strangers_for_a_while() {
        let (me, friend, far) = (Keys::generate(), Keys::generate(), Keys::generate());
        let (my, theirs) = (me.public_key(), friend.public_key());
        let mut store = SqliteStore::in_memory().unwrap();
        store.set_me(Some(my)).unwrap();

        let fresh = Wants::of(&store, my, NOW).unwrap();
        let [everybody, own] = fresh.history.as_slice() else {
            panic!("{fresh:?}");
        };
        assert!(everybody.authors.is_none() && everybody.since.is_some());
        assert_eq!((&own.authors, own.since), (&Some(BTreeSet::from([my])), None));
        let later = Millis(NOW.0 + 60_000);
        assert_eq!(Wants::of(&store, my, later).unwrap(), fresh, "the same all day");

        let follows = [
            follow_event(&me, None, theirs, true, NOW),
            follow_event(&friend, None, my, true, NOW),
        ];
        store.put(&follows, NOW).unwrap();
        let list = follow_event(
            &friend,
            Some(&follows[1]),
            far.public_key(),
            true,
            Millis(NOW.0 + 1_000),
        );
        store.put(&[list], NOW).unwrap();
        let wants = Wants::of(&store, my, NOW).unwrap();
        let authors = |filter: &Filter| filter.authors.clone().unwrap_or_default();
        assert_eq!(wants.history.len(), 3);
        assert_eq!(authors(&wants.history[1]), BTreeSet::from([far.public_key()]));
        assert!(wants.history[1].since < wants.history[0].since);
        assert_eq!(authors(&wants.history[2]), BTreeSet::from([my, theirs]));
        assert_eq!(wants.history[2].since, None);
        assert_eq!(wants.live.len(), 4, "and what concerns me");

        let none = Budget {
            events: Some(0),
            ..Budget::UNLIMITED
        };
        store.set_budget(Ring::Stranger, none).unwrap();
        let wants = Wants::of(&store, my, NOW).unwrap();
        assert!(wants.history.iter().all(|filter| filter.authors.is_some()));
        store.set_budget(Ring::Stranger, Budget::UNLIMITED).unwrap();
        assert_eq!(Wants::of(&store, my, NOW).unwrap(), Wants::everything());
        assert!(KINDS.contains(&Kind::EventDeletion) && KINDS.contains(&Kind::RequestToVanish));
    }
}
