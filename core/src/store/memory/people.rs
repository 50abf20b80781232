//! How near people are, and the search for them.

use std::collections::BTreeSet;

use nostr::nips::nip19::FromBech32;
use nostr::prelude::PublicKey;

use super::MemoryStore;
use crate::social::Ring;
use crate::store::FoundPerson;

impl MemoryStore {
    pub(super) fn ring_of(&self, person: &PublicKey) -> Ring {
        let follows = |a: &PublicKey, b: &PublicKey| self.follows.get(a).is_some_and(|list| list.contains(b));
        let Some(me) = self.me else {
            return Ring::Stranger;
        };
        let mut own = self.follows.get(&me).into_iter().flatten();
        if *person == me {
            Ring::Me
        } else if follows(&me, person) {
            if follows(person, &me) {
                Ring::Friend
            } else {
                Ring::Followed
            }
        } else if own.any(|one| follows(one, &me) && follows(one, person)) {
            Ring::FriendOfFriend
        } else {
            Ring::Stranger
        }
    }

    /// Everybody of whom anything is known.
    pub(super) fn people(&self) -> BTreeSet<PublicKey> {
        let followed = self.follows.values().flatten();
        followed
            .chain(self.usage.keys())
            .chain(&self.me)
            .copied()
            .collect()
    }

    /// By the beginning of the name, of people who are no strangers also by what is within; by the whole key, which
    /// need not be known here.
    pub(super) fn find_people(&self, text: &str, limit: usize) -> Vec<FoundPerson> {
        let text = text.trim().trim_start_matches('@');
        if text.is_empty() {
            return Vec::new();
        }
        let key = PublicKey::from_bech32(text)
            .or_else(|_| PublicKey::from_hex(text))
            .ok();
        let text = text.to_lowercase();
        let mut found = Vec::new();
        let people = self.people();
        for one in people.union(&key.into_iter().collect()).copied() {
            let (name, ring) = (self.names.get(&one), self.ring_of(&one));
            let is_named = name.map(|name| name.to_lowercase()).is_some_and(|name| {
                name.starts_with(&text) || ring != Ring::Stranger && name.contains(&text)
            });
            if (is_named || key == Some(one)) && !self.mutes.people.contains(&one) {
                found.push(FoundPerson {
                    key: one,
                    name: name.cloned(),
                    ring,
                });
            }
        }
        found.sort_by(|a, b| (a.ring, &a.name, a.key).cmp(&(b.ring, &b.name, b.key)));
        found.truncate(limit);
        found
    }
}
