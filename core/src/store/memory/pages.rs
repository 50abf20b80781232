//! Pages of notes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound;

use nostr::prelude::{Event, EventId, Kind, PublicKey};

use super::{HIGHEST, Held, LOWEST, MemoryStore, Place, place, to_place};
use crate::social::{fold_hashtag, read_follows, repost_target};
use crate::store::words::Search;
use crate::store::{Cursor, Note, Page, Repost, Scope, rules};

/// What a page shows of what its people wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Notes and reposts.
    All,
    /// Notes that are no replies, and reposts.
    Posts,
    Replies,
    Media,
}

/// Whether muted people, words and threads are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Muting {
    LeftOut,
    Shown,
}

impl MemoryStore {
    pub(super) fn read_timeline(&self, scope: Scope, before: Option<Cursor>, limit: usize) -> Page {
        let own = |author, part| self.page(self.of_author(author, before), part, Muting::Shown, limit);
        match scope {
            Scope::Everyone => self.page(self.of_all(before), Part::Posts, Muting::LeftOut, limit),
            Scope::FollowedBy(person) => {
                let follows = self.follows.get(&person).into_iter().flatten().copied();
                self.of_people(follows.chain([person]).collect(), before, limit)
            }
            Scope::Author(author) => own(author, Part::All),
            Scope::Posts(author) => own(author, Part::Posts),
            Scope::Replies(author) => own(author, Part::Replies),
            Scope::Media(author) => own(author, Part::Media),
        }
    }

    pub(super) fn read_list(
        &self,
        owner: &PublicKey,
        name: &str,
        before: Option<Cursor>,
        limit: usize,
    ) -> Page {
        let list = self.latest_of(owner, Kind::FollowSet, name);
        let people = list.map(read_follows).unwrap_or_default();
        self.of_people(people.into_iter().collect(), before, limit)
    }

    pub(super) fn read_hashtag(&self, tag: &str, before: Option<Cursor>, limit: usize) -> Page {
        let Some(tag) = fold_hashtag(tag) else {
            return Page::default();
        };
        self.notes(before, limit, |held| held.references.hashtags.contains(&tag))
    }

    pub(super) fn find_notes(&self, text: &str, before: Option<Cursor>, limit: usize) -> Page {
        let Some(search) = Search::parse(text) else {
            return Page::default();
        };
        self.notes(before, limit, |held| {
            search.matches(&held.event.content, || held.references.hashtags.clone())
        })
    }

    fn notes(&self, before: Option<Cursor>, limit: usize, wanted: impl Fn(&Held) -> bool) -> Page {
        let notes = self
            .of_all(before)
            .filter(|(_, id)| self.note_held(id).is_some_and(&wanted));
        self.page(notes, Part::All, Muting::LeftOut, limit)
    }

    fn of_all(&self, before: Option<Cursor>) -> impl Iterator<Item = Place> + '_ {
        let start = before.map_or(Bound::Unbounded, |cursor| Bound::Excluded(to_place(cursor)));
        self.listed.range((start, Bound::Unbounded)).copied()
    }

    fn of_author(&self, author: PublicKey, before: Option<Cursor>) -> impl Iterator<Item = Place> + '_ {
        let start = match before.map(to_place) {
            Some((at, id)) => Bound::Excluded((author, at, id)),
            None => Bound::Included((author, Reverse(u64::MAX), LOWEST)),
        };
        let end = Bound::Included((author, Reverse(0), HIGHEST));
        self.listed_by_author
            .range((start, end))
            .map(|(_, at, id)| (*at, *id))
    }

    fn of_people(&self, people: BTreeSet<PublicKey>, before: Option<Cursor>, limit: usize) -> Page {
        let mut notes = Vec::new();
        for person in people {
            let own = self.page(
                self.of_author(person, before),
                Part::Posts,
                Muting::LeftOut,
                limit.saturating_add(1),
            );
            notes.extend(own.notes);
        }
        notes.sort_unstable_by_key(|note| to_place(note.cursor()));
        rules::page(notes, limit)
    }

    fn page(&self, places: impl Iterator<Item = Place>, part: Part, muting: Muting, limit: usize) -> Page {
        let shown = places.filter_map(|(_, id)| self.shown(&id, part, muting));
        rules::page(shown.take(limit.saturating_add(1)).collect(), limit)
    }

    fn shown(&self, id: &EventId, part: Part, muting: Muting) -> Option<Note> {
        let held = self.held(id)?;
        if held.event.kind == Kind::TextNote {
            let is_wanted = match part {
                Part::All => true,
                Part::Posts => held.references.parent.is_none(),
                Part::Replies => held.references.parent.is_some(),
                Part::Media => !held.references.media.is_empty(),
            };
            return (is_wanted && !self.hides(held, muting)).then(|| self.to_note(held));
        }
        let original = self.note_held(&repost_target(&held.event)?.id)?;
        let is_listed = matches!(part, Part::All | Part::Posts);
        (is_listed && !self.hides(held, muting) && !self.hides(original, muting)).then(|| Note {
            repost: Some(self.to_repost(&held.event)),
            ..self.to_note(original)
        })
    }

    /// What the person of this device wrote is never hidden from them.
    pub(super) fn hides(&self, held: &Held, muting: Muting) -> bool {
        let Held {
            event, references, ..
        } = held;
        if muting == Muting::Shown || self.me == Some(event.pubkey) {
            false
        } else if event.kind == Kind::TextNote {
            self.mutes.hides(event, references)
        } else {
            self.mutes.people.contains(&event.pubkey)
        }
    }

    pub(super) fn to_note(&self, held: &Held) -> Note {
        let event = &held.event;
        Note {
            id: event.id,
            author: event.pubkey,
            author_name: self.names.get(&event.pubkey).cloned(),
            created_at: event.created_at.as_secs(),
            content: event.content.clone(),
            references: held.references.clone(),
            counts: self.count(&event.id),
            repost: None,
        }
    }

    fn to_repost(&self, event: &Event) -> Repost {
        let (at, id) = place(event);
        Repost {
            id,
            by: event.pubkey,
            by_name: self.names.get(&event.pubkey).cloned(),
            at: at.0,
        }
    }
}
