//! What events say about others, and how many do: links, and their counts in the rows of those that they are about.
//!
//! Links know the first eight bytes of an id, and so do the counts: of several events that begin with the same bytes
//! (made up; nothing else collides) each counts all links. What is counted of an event that is not here waits in `tally`.

use std::collections::BTreeMap;

use nostr::prelude::{Event, EventId, Kind};
use rusqlite::params;

use super::{CONTEXT, Writer};
use crate::social::{self, References};
use crate::store::sqlite::error::Context;
use crate::store::sqlite::queries::{self, short};
use crate::store::{Counts, Query, StoreError};

pub(in crate::store::sqlite) const INSERT_LINK: &str =
    "INSERT OR IGNORE INTO link (target, type, who, seq) VALUES (?1, ?2, ?3, ?4)";
pub(in crate::store::sqlite) const DELETE_LINK: &str =
    "DELETE FROM link WHERE target = ?1 AND type = ?2 AND who = ?3 AND seq = ?4";
/// By the key of `link`.
pub(in crate::store::sqlite) const HAS_LINK: &str =
    "SELECT EXISTS (SELECT 1 FROM link WHERE target = ?1 AND type = ?2 AND who = ?3)";
/// By `event_by_id`.
pub(in crate::store::sqlite) const ADD_COUNTS: &str =
    "UPDATE event SET replies = replies + ?2, thread = thread + ?3,
    reposts = reposts + ?4, quotes = quotes + ?5, reactions = reactions + ?6 WHERE substr(id, 1, 8) = ?1";
pub(in crate::store::sqlite) const SET_COUNTS: &str =
    "UPDATE event SET (replies, thread, reposts, quotes, reactions) =
    (?2, ?3, ?4, ?5, ?6) WHERE seq = ?1";
pub(in crate::store::sqlite) const DELETE_TALLY: &str = "DELETE FROM tally WHERE target = ?1";
/// What goes leaves its counts behind, unless another stands for the same bytes (see `event_by_id`).
pub(in crate::store::sqlite) const KEEP_COUNTS: &str =
    "INSERT INTO tally SELECT substr(id, 1, 8), replies, thread, reposts, quotes, reactions FROM event e
    WHERE seq = ?1 AND (replies OR thread OR reposts OR quotes OR reactions) AND NOT EXISTS
    (SELECT 1 FROM event o WHERE substr(o.id, 1, 8) = substr(e.id, 1, 8) AND o.seq <> e.seq)";
pub(in crate::store::sqlite) const ADD_TALLY: &str = "INSERT INTO tally (target, replies, thread, reposts, quotes, reactions)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (target) DO UPDATE SET
    replies = replies + excluded.replies, thread = thread + excluded.thread, reposts = reposts + excluded.reposts,
    quotes = quotes + excluded.quotes, reactions = reactions + excluded.reactions";
pub(in crate::store::sqlite) const DELETE_EMPTY_TALLY: &str = "DELETE FROM tally WHERE target = ?1
    AND replies = 0 AND thread = 0 AND reposts = 0 AND quotes = 0 AND reactions = 0";

/// What a note says about another event; the column of `link.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Link {
    Reply = 1,
    Thread = 2,
    Repost = 3,
    Quote = 4,
    Reaction = 5,
}

/// How many links of each type more or fewer, by what they are about.
pub(super) type Deltas = BTreeMap<[u8; 8], [i64; 5]>;

impl Writer<'_> {
    /// Takes what an event says about others.
    pub(super) fn link(
        &mut self,
        event: &Event,
        references: &References,
        seq: i64,
        author: i64,
    ) -> Result<(), StoreError> {
        for (link, target, people) in links(event, references) {
            let (who, key) = (if people { author } else { 0 }, short(&target));
            let counted = people && self.has_link(&key, link, who)?;
            if self.run(INSERT_LINK, params![key, link as i64, who, seq])? > 0 && !counted {
                self.count(key, link, 1);
            }
            self.link_changed(link, target);
        }
        Ok(())
    }

    /// Forgets it again.
    pub(super) fn unlink(
        &mut self,
        event: &Event,
        references: &References,
        seq: i64,
        author: i64,
    ) -> Result<(), StoreError> {
        for (link, target, people) in links(event, references) {
            let (who, key) = (if people { author } else { 0 }, short(&target));
            if self.run(DELETE_LINK, params![key, link as i64, who, seq])? > 0
                && !(people && self.has_link(&key, link, who)?)
            {
                self.count(key, link, -1);
            }
            self.link_changed(link, target);
        }
        Ok(())
    }

    /// What is counted of an event that is about to come.
    pub(super) fn counted(&self, id: &EventId) -> Result<Counts, StoreError> {
        queries::counts(self.db, id).context(CONTEXT)
    }

    /// It has come: its counts stand in its row from now on.
    pub(super) fn take_counts(&self, id: &EventId, seq: i64, counted: Counts) -> Result<(), StoreError> {
        if counted == Counts::default() {
            return Ok(());
        }
        let Counts {
            replies,
            thread,
            reposts,
            quotes,
            reactions,
        } = counted;
        let params = params![seq, replies, thread, reposts, quotes, reactions];
        self.run(SET_COUNTS, params)?;
        self.run(DELETE_TALLY, [short(id)]).map(drop)
    }

    /// It is about to go, and leaves them behind.
    pub(super) fn keep_counts(&self, seq: i64) -> Result<(), StoreError> {
        self.run(KEEP_COUNTS, [seq]).map(drop)
    }

    /// Writes what was counted.
    pub(super) fn write_counts(&mut self) -> Result<(), StoreError> {
        for (target, delta) in std::mem::take(&mut self.counts) {
            if delta == [0; 5] {
                continue;
            }
            let [replies, thread, reposts, quotes, reactions] = delta;
            let params = params![target, replies, thread, reposts, quotes, reactions];
            if self.run(ADD_COUNTS, params)? > 0 {
                continue;
            }
            self.run(ADD_TALLY, params)?;
            if delta.iter().any(|delta| *delta < 0) {
                self.run(DELETE_EMPTY_TALLY, [target])?;
            }
        }
        Ok(())
    }

    fn has_link(&self, target: &[u8; 8], link: Link, who: i64) -> Result<bool, StoreError> {
        let found = self.get(HAS_LINK, params![target, link as i64, who], |row| row.get(0))?;
        Ok(found.unwrap_or(false))
    }

    fn count(&mut self, target: [u8; 8], link: Link, by: i64) {
        self.counts.entry(target).or_default()[link as usize - 1] += by;
    }

    fn link_changed(&mut self, link: Link, target: EventId) {
        if matches!(link, Link::Thread | Link::Reply) {
            self.changed(Query::Thread(target));
        }
        self.changed(Query::Counts(target));
    }
}

/// Links by which an event is counted: type, target and whether people are counted instead of events.
fn links(event: &Event, references: &References) -> Vec<(Link, EventId, bool)> {
    let mut links = Vec::new();
    match event.kind {
        Kind::TextNote => {
            links.extend(references.parent.map(|parent| (Link::Reply, parent, false)));
            links.extend(references.root.map(|root| (Link::Thread, root, false)));
            links.extend(
                references
                    .quotes
                    .iter()
                    .map(|quoted| (Link::Quote, *quoted, true)),
            );
        }
        Kind::Repost | Kind::GenericRepost => {
            links.extend(social::repost_target(event).map(|target| (Link::Repost, target.id, true)));
        }
        Kind::Reaction => {
            links.extend(social::reaction_target(event).map(|target| (Link::Reaction, target.id, true)));
        }
        _ => {}
    }
    links
}
