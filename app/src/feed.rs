//! A list of notes as a timeline holds it: sorted, in pages, with live arrivals shown or waiting, and bounded.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashSet, VecDeque};

use sazanami_core::store::{Cursor, Note, Page};
use sazanami_core::{EventId, PublicKey};

/// Notes in a page.
pub(crate) const PAGE: usize = 50;
/// Notes kept when more arrive while the top is in view; older ones come back by paging.
const KEPT: usize = 200;
/// Notes that wait at most; beyond that only their number is kept and releasing them asks for a new first page.
const HELD: usize = 300;
/// Removals remembered, so that a page under way does not bring a note back.
const GONE: usize = 500;

/// What became of a note that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In the list.
    Shown,
    /// Waits, so that nothing moves under the reader.
    Held,
    /// Lies beyond the loaded part; paging brings it.
    Beyond,
    /// There already, or removed.
    Known,
}

/// Newest first; of one second, the smaller id first: the order of [`Page`].
fn order(a: &Note, b: &Note) -> Ordering {
    b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id))
}

/// Puts a note at its place; `false` when it is there already.
fn insert(list: &mut Vec<Note>, note: Note) -> bool {
    match list.binary_search_by(|other| order(other, &note)) {
        Ok(_) => false,
        Err(place) => {
            list.insert(place, note);
            true
        }
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    notes: Vec<Note>,
    next: Option<Cursor>,
    held: Vec<Note>,
    /// How many notes were held and dropped.
    overflow: usize,
    gone: VecDeque<EventId>,
}

impl Feed {
    /// The notes shown.
    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Where the next page starts, when there is one.
    pub(crate) fn next(&self) -> Option<Cursor> {
        self.next
    }

    /// How many notes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.held.len() + self.overflow
    }

    /// Takes the first page in place of everything but what arrived while it was under way.
    pub(crate) fn load(&mut self, page: Page) {
        self.held.clear();
        self.overflow = 0;
        let early = std::mem::take(&mut self.notes);
        self.next = page.next;
        self.add(page.notes);
        for note in early {
            let newer = self
                .notes
                .last()
                .is_none_or(|last| order(&note, last) == Ordering::Less);
            if newer || self.next.is_none() {
                self.add([note]);
            }
        }
    }

    /// Takes the first page after changes were missed: what is new arrives, and what is not there any more is gone.
    pub(crate) fn catch_up(&mut self, page: Page, me: Option<PublicKey>, at_top: bool) {
        let there: HashSet<EventId> = page.notes.iter().map(|note| note.id).collect();
        let is_there = |note: &Note| there.contains(&note.id);
        // What lies between the page and what is here is not known.
        let gap = page.next.is_some() && !self.notes.is_empty() && !self.notes.iter().any(is_there);
        if gap && at_top {
            return self.load(page);
        }
        if gap {
            // Releasing them asks for the first page.
            self.held.clear();
            self.overflow = page.notes.len();
            return;
        }
        let place = |cursor: Cursor| (Reverse(cursor.created_at), cursor.id);
        let beyond = |note: &Note| page.next.is_some_and(|next| place(note.cursor()) > place(next));
        self.notes.retain(|note| is_there(note) || beyond(note));
        self.held.retain(|note| is_there(note) || beyond(note));
        // The oldest first: each finds the one below it.
        for note in page.notes.into_iter().rev() {
            let own = Some(note.author) == me;
            self.rename(&note.author.clone(), note.author_name.as_deref());
            self.arrive(note, own, at_top);
        }
    }

    /// Takes a further page.
    pub(crate) fn extend(&mut self, page: Page) {
        self.next = page.next;
        self.add(page.notes);
    }

    fn add(&mut self, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            if !self.gone.contains(&note.id) {
                self.held.retain(|held| held.id != note.id);
                insert(&mut self.notes, note);
            }
        }
    }

    /// A note arrived. It goes into the list when it is the person's own or the top is in view, else it waits.
    pub(crate) fn arrive(&mut self, note: Note, own: bool, at_top: bool) -> Arrival {
        let known = |list: &[Note]| list.binary_search_by(|other| order(other, &note)).is_ok();
        if self.gone.contains(&note.id) || known(&self.notes) || known(&self.held) {
            return Arrival::Known;
        }
        if let Some(last) = self.notes.last()
            && order(&note, last) == Ordering::Greater
        {
            if self.next.is_some() {
                return Arrival::Beyond;
            }
            if self.notes.len() >= PAGE || !(own || at_top) {
                self.next = Some(last.cursor());
                return Arrival::Beyond;
            }
        }
        if own || at_top {
            insert(&mut self.notes, note);
            if at_top {
                self.trim();
            }
            Arrival::Shown
        } else {
            insert(&mut self.held, note);
            if self.held.len() > HELD {
                self.held.pop();
                self.overflow += 1;
            }
            Arrival::Held
        }
    }

    /// Shows what waits. `false` when too much waited: a new first page is needed.
    pub(crate) fn release(&mut self) -> bool {
        let complete = self.overflow == 0;
        self.overflow = 0;
        let held = std::mem::take(&mut self.held);
        self.add(held);
        self.trim();
        complete
    }

    fn trim(&mut self) {
        if self.notes.len() > KEPT {
            self.notes.truncate(KEPT);
            self.next = self.notes.last().map(Note::cursor);
        }
    }

    /// A note was deleted.
    pub(crate) fn remove(&mut self, id: EventId) {
        self.notes.retain(|note| note.id != id);
        self.held.retain(|note| note.id != id);
        if self.gone.len() == GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(id);
    }

    /// Whether a note of this person is here.
    pub(crate) fn has_author(&self, author: &PublicKey) -> bool {
        self.notes
            .iter()
            .chain(&self.held)
            .any(|note| note.author == *author)
    }

    /// A person's name became known or changed.
    pub(crate) fn rename(&mut self, author: &PublicKey, name: Option<&str>) {
        for note in self
            .notes
            .iter_mut()
            .chain(&mut self.held)
            .filter(|note| note.author == *author)
        {
            if note.author_name.as_deref() != name {
                note.author_name = name.map(str::to_owned);
            }
        }
    }
}

#[cfg(test)]
mod tests;
