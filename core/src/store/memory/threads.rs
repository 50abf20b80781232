//! Threads, what is counted of a note, and who acted on it.

use std::collections::{BTreeMap, BTreeSet};

use nostr::prelude::{EventId, Kind, PublicKey};

use super::pages::Muting;
use super::{HIGHEST, LOWEST, Link, MemoryStore, place, to_place};
use crate::store::{
    Act, Ancestor, Counts, Cursor, MAX_ANCESTORS, Note, Page, Reactor, Reactors, Thread, rules,
};

const LOWEST_KEY: PublicKey = PublicKey::from_byte_array([0; 32]);
const HIGHEST_KEY: PublicKey = PublicKey::from_byte_array([0xff; 32]);

impl MemoryStore {
    /// The events that say something of another one, with their authors.
    fn linked(&self, target: &EventId, link: Link) -> impl Iterator<Item = (PublicKey, EventId)> + '_ {
        let all = (*target, link, LOWEST_KEY, LOWEST)..=(*target, link, HIGHEST_KEY, HIGHEST);
        self.links.range(all).map(|(_, _, who, id)| (*who, *id))
    }

    /// Each person once.
    pub(super) fn who(&self, target: &EventId, link: Link) -> impl Iterator<Item = PublicKey> + '_ {
        let people: BTreeSet<PublicKey> = self.linked(target, link).map(|(who, _)| who).collect();
        people.into_iter()
    }

    pub(super) fn count(&self, id: &EventId) -> Counts {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            replies: number(self.linked(id, Link::Reply).count()),
            reposts: number(self.who(id, Link::Repost).count()),
            quotes: number(self.who(id, Link::Quote).count()),
            reactions: number(self.who(id, Link::Reaction).count()),
            thread: number(self.linked(id, Link::Thread).count()),
        }
    }

    pub(super) fn read_thread(&self, id: &EventId, after: Option<Cursor>, limit: usize) -> Thread {
        let note = self.note_held(id).map(|held| self.to_note(held));
        let ancestors = match &note {
            Some(note) if after.is_none() => self.ancestors(note),
            _ => Vec::new(),
        };
        // A note that is not here may still be known as a root.
        let is_root = note.as_ref().is_none_or(|note| note.references.root.is_none());
        let link = if is_root { Link::Thread } else { Link::Reply };
        Thread {
            ancestors,
            note,
            replies: self.below(id, link, after, limit),
        }
    }

    fn ancestors(&self, note: &Note) -> Vec<Ancestor> {
        let mut found = Vec::new();
        let mut above = note.references.parent;
        let mut is_broken = false;
        while let Some(id) = above.filter(|_| found.len() < MAX_ANCESTORS) {
            match self.note_held(&id) {
                Some(parent) => {
                    above = parent.references.parent;
                    found.push(Ancestor::Note(Box::new(self.to_note(parent))));
                }
                None => {
                    found.push(Ancestor::Missing(id));
                    is_broken = true;
                    // What lies between is missing; the root is known by name.
                    above = note
                        .references
                        .root
                        .filter(|root| *root != id && !is_at(&found, *root));
                    if let Some(root) = above.take() {
                        found.push(match self.note_held(&root) {
                            Some(root) => Ancestor::Note(Box::new(self.to_note(root))),
                            None => Ancestor::Missing(root),
                        });
                    }
                }
            }
            if is_broken {
                break;
            }
        }
        found.truncate(MAX_ANCESTORS);
        found.reverse();
        found
    }

    /// Oldest first.
    fn below(&self, id: &EventId, link: Link, after: Option<Cursor>, limit: usize) -> Page {
        let after = after.map(to_place);
        let replies = self.linked(id, link).filter_map(|(_, id)| self.note_held(&id));
        let mut replies: Vec<_> = replies
            .filter(|held| after.is_none_or(|after| place(&held.event) < after))
            .filter(|held| !self.hides(held, Muting::LeftOut))
            .collect();
        replies.sort_unstable_by_key(|held| std::cmp::Reverse(place(&held.event)));
        let shown = replies.into_iter().take(limit.saturating_add(1));
        rules::page(shown.map(|held| self.to_note(held)).collect(), limit)
    }

    pub(super) fn read_reactors(
        &self,
        id: &EventId,
        act: Act,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Reactors {
        let link = match act {
            Act::Reaction => Link::Reaction,
            Act::Repost => Link::Repost,
        };
        let acts = self.linked(id, link).filter_map(|(_, id)| self.held(&id));
        // Of several by one person the latest counts.
        let mut newest = BTreeMap::new();
        for held in acts.filter(|held| after.is_none_or(|after| held.event.pubkey > after)) {
            let of_person = newest.entry(held.event.pubkey).or_insert(held);
            if place(&held.event) < place(&of_person.event) {
                *of_person = held;
            }
        }
        let more = newest.len() > limit;
        let people: Vec<Reactor> = newest
            .into_iter()
            .take(limit)
            .map(|(key, held)| Reactor {
                key,
                name: self.names.get(&key).cloned(),
                content: if held.event.kind == Kind::Reaction {
                    held.event.content.clone()
                } else {
                    String::new()
                },
            })
            .collect();
        let next = people.last().filter(|_| more).map(|one| one.key);
        Reactors { people, next }
    }
}

fn is_at(found: &[Ancestor], id: EventId) -> bool {
    found.iter().any(|ancestor| match ancestor {
        Ancestor::Note(note) => note.id == id,
        Ancestor::Missing(missing) => *missing == id,
    })
}
