//! A timeline that keeps itself up to date.

use std::collections::{HashMap, HashSet};

use dioxus::prelude::*;
use futures::StreamExt;
use sazanami_core::PublicKey;
use sazanami_core::node::api::{Change, RequestError};
use sazanami_core::store::{Note, Query, Scope};

use crate::feed::{Arrival, Feed, PAGE};
use crate::node::{Loaded, Node, use_node};
use crate::state::use_ui;

/// Most changes taken at once: a first sync brings thousands, and the list is drawn once per batch.
const BATCH: usize = 256;
/// Most people remembered as followed or not.
const REMEMBERED: usize = 2_000;

/// A timeline and what can be done with it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct FeedHandle {
    scope: Scope,
    /// The list.
    pub(crate) feed: Signal<Feed>,
    /// How the first page stands.
    pub(crate) first: Signal<Loaded<()>>,
    /// How a further page stands; `Ready` when none is under way.
    pub(crate) further: Signal<Loaded<()>>,
    /// Whether the top is in view: arrivals go straight into the list.
    pub(crate) at_top: Signal<bool>,
}

impl FeedHandle {
    /// Asks for the first page.
    pub(crate) async fn reload(mut self, node: &Node) {
        match node.timeline(self.scope, None, PAGE).await {
            Ok(page) => {
                self.feed.write().load(page);
                self.first.set(Loaded::Ready(()));
            }
            Err(error) => self.first.set(Loaded::Failed(error)),
        }
    }

    /// Asks for the next page, unless one is under way.
    pub(crate) fn load_more(mut self, node: Node) {
        if *self.further.peek() == Loaded::Loading {
            return;
        }
        let Some(before) = self.feed.peek().next() else {
            return;
        };
        self.further.set(Loaded::Loading);
        spawn(async move {
            match node.timeline(self.scope, Some(before), PAGE).await {
                Ok(page) => {
                    self.feed.write().extend(page);
                    self.further.set(Loaded::Ready(()));
                }
                Err(error) => self.further.set(Loaded::Failed(error)),
            }
        });
    }

    /// Shows the notes that wait.
    pub(crate) fn release(mut self, node: Node) {
        self.at_top.set(true);
        let complete = self.feed.write().release();
        if !complete {
            spawn(async move { self.reload(&node).await });
        }
    }

    /// The error of the first page, if it failed.
    pub(crate) fn failure(self) -> Option<RequestError> {
        if let Loaded::Failed(error) = &*self.first.read() {
            Some(error.clone())
        } else {
            None
        }
    }
}

/// The timeline of a scope, which must not change within a component's life (give the component a key).
pub(crate) fn use_feed(scope: Scope) -> FeedHandle {
    let node = use_node();
    let mut ui = use_ui();
    let handle = FeedHandle {
        scope,
        feed: use_signal(Feed::default),
        first: use_signal(|| Loaded::Loading),
        further: use_signal(|| Loaded::Ready(())),
        at_top: use_signal(|| true),
    };
    let mut feed = handle.feed;

    use_future(move || {
        let node = node.clone();
        async move {
            // Listen before asking, so that nothing falls between.
            let mut changes = node.changes().ready_chunks(BATCH);
            handle.reload(&node).await;
            let mut followed = HashMap::new();
            while let Some(batch) = changes.next().await {
                let me = ui.me_key();
                let mut people = HashSet::new();
                let mut reload = false;
                let mut missed = false;
                let mut news = Vec::new();
                for change in batch {
                    match change {
                        Change::NoteAdded(note) => {
                            if !wanted(scope, &note, &node, &mut followed).await {
                                continue;
                            }
                            let own = Some(note.author) == me;
                            let at_top = *handle.at_top.peek();
                            let arrival = feed.write().arrive(note.clone(), own, at_top);
                            if !own && matches!(arrival, Arrival::Shown | Arrival::Held) {
                                news.push(note);
                            }
                        }
                        Change::NoteRemoved(id) => feed.write().remove(id),
                        Change::Person(key) => {
                            reload |= matches!(scope, Scope::FollowedBy(owner) if owner == key);
                            people.insert(key);
                        }
                        Change::Me => people.extend(me),
                        Change::Queries(queries) => {
                            // Whom one mutes decides what is in every list.
                            reload |= queries.contains(&Query::Mutes);
                        }
                        Change::Everything => missed = true,
                        Change::Network | Change::Meeting | Change::Blob(_) | Change::MediaFull => {}
                    }
                }
                people.retain(|key| feed.peek().has_author(key));
                for key in people {
                    if let Ok(person) = node.person(key).await {
                        feed.write().rename(&key, person.name.as_deref());
                    }
                }
                if missed {
                    followed.clear();
                    catch_up(scope, handle, &node, me).await;
                }
                if reload {
                    followed.clear();
                    refollow(scope, handle, &node).await;
                }
                // A profile's own list is not news.
                if !matches!(scope, Scope::Author(_)) {
                    ui.announce_notes(&news);
                }
            }
        }
    });

    // The own note stands in the list as soon as it is posted, whichever comes first: the answer or the change. One
    // that was posted before this list was there may have been deleted since.
    let before = use_hook(|| ui.posted.peek().as_ref().map(|note| note.id));
    use_effect(move || {
        if let Some(note) = ui.posted.read().clone()
            && Some(note.id) != before
            && (!matches!(scope, Scope::Author(author) if author != note.author))
        {
            let at_top = *handle.at_top.peek();
            feed.write().arrive(note, true, at_top);
        }
    });
    handle
}

/// Changes may have been missed: takes what is new and leaves what is gone, and moves nothing under the reader.
async fn catch_up(scope: Scope, mut handle: FeedHandle, node: &Node, me: Option<PublicKey>) {
    match node.timeline(scope, None, PAGE).await {
        Ok(page) if matches!(*handle.first.peek(), Loaded::Ready(())) => {
            let at_top = *handle.at_top.peek();
            // Mostly nothing is new: then nothing is drawn.
            let mut feed = handle.feed.peek().clone();
            feed.catch_up(page, me, at_top);
            if *handle.feed.peek() != feed {
                handle.feed.set(feed);
            }
        }
        Ok(page) => {
            handle.feed.write().load(page);
            handle.first.set(Loaded::Ready(()));
        }
        // What is shown is still there; the next change asks again.
        Err(error) => tracing::warn!(%error, "the timeline may be old"),
    }
}

/// The follow list may have changed: other people's notes belong here now.
async fn refollow(scope: Scope, mut handle: FeedHandle, node: &Node) {
    match node.timeline(scope, None, PAGE).await {
        Ok(page) => {
            let same = {
                let feed = handle.feed.peek();
                let shown = feed.notes();
                let as_long = if page.next.is_some() {
                    page.notes.len() <= shown.len()
                } else {
                    page.notes.len() == shown.len()
                };
                as_long && page.notes.iter().zip(shown).all(|(a, b)| a.id == b.id)
            };
            if !same {
                let mut fresh = Feed::default();
                fresh.load(page);
                handle.feed.set(fresh);
            }
        }
        Err(error) => handle.first.set(Loaded::Failed(error)),
    }
}

async fn wanted(scope: Scope, note: &Note, node: &Node, followed: &mut HashMap<PublicKey, bool>) -> bool {
    match scope {
        Scope::Everyone => true,
        Scope::Author(author) | Scope::Posts(author) | Scope::Replies(author) | Scope::Media(author) => {
            note.author == author
        }
        Scope::FollowedBy(owner) if owner == note.author => true,
        Scope::FollowedBy(_) => {
            if let Some(known) = followed.get(&note.author) {
                return *known;
            }
            let Ok(person) = node.person(note.author).await else {
                return false;
            };
            if followed.len() == REMEMBERED {
                followed.clear();
            }
            followed.insert(note.author, person.followed);
            person.followed
        }
    }
}
