//! Notifications: what others did that concerns the person of this device.

use nostr::prelude::{EventId, Kind, PublicKey};
use rusqlite::params;

use super::error::Context;
use super::queries::{self, number};
use super::tables::{Writer, set_setting};
use super::{SqliteStore, place};
use crate::social::{self, Address, Mutes, References};
use crate::store::rules::Tables;
use crate::store::{Cause, Cursor, MAX_UNREAD, Notification, Notifications, OWNER, Query, StoreError};

const CONTEXT: &str = "reading notifications";
/// Rows that are looked at for one page at most; muted people may have caused all of them.
const MAX_LOOKED_AT: usize = 5_000;
/// Up to where notifications were read.
const READ_UNTIL: &str = "store.read-until";

/// A range of the key of `notification`; 6 is a former follower.
pub(super) const ALL: &str =
    "SELECT seq, who, cause FROM notification WHERE seq < ?1 AND cause <> 6 ORDER BY seq DESC LIMIT ?2";
/// A range of `notification_by_cause`.
pub(super) const OF_CAUSE: &str =
    "SELECT seq, who, cause FROM notification WHERE cause = ?3 AND seq < ?1 ORDER BY seq DESC LIMIT ?2";
/// The end of the key of `notification`.
pub(super) const AFTER: &str =
    "SELECT seq, who, cause FROM notification WHERE seq > ?1 AND cause <> 6 LIMIT ?2";
/// All events that may concern somebody, by `event`.
pub(super) const CANDIDATES: &str =
    "SELECT seq FROM event WHERE seq > ?1 AND kind IN (1, 3, 6, 7, 16) ORDER BY seq LIMIT 1000";

const CAUSES: [Cause; 6] = [
    Cause::Reply,
    Cause::Mention,
    Cause::Quote,
    Cause::Reaction,
    Cause::Repost,
    Cause::Follow,
];

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, i64, Cause)> {
    let cause: usize = row.get::<_, u8>(2)?.into();
    Ok((row.get(0)?, row.get(1)?, CAUSES[cause.min(CAUSES.len() - 1)]))
}

impl SqliteStore {
    pub(super) fn read_notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Notifications, StoreError> {
        let mut before = self.notice_place(before)?;
        let (mut list, mut looked_at, mut next) = (Vec::<Notification>::new(), 0, None);
        'page: loop {
            let many = limit.saturating_add(1) - list.len();
            let rows = self.notices(causes, before, many)?;
            let ended = rows.len() < many;
            for (seq, who, cause) in rows {
                before = seq;
                looked_at += 1;
                if let Some(notice) = self.notice(seq, who, cause)? {
                    if list.len() == limit {
                        next = list.last().map(cursor_of);
                        break 'page;
                    }
                    list.push(notice);
                }
                if looked_at >= MAX_LOOKED_AT {
                    next = self.cursor_at(seq, who, cause)?;
                    break 'page;
                }
            }
            if ended {
                break;
            }
        }
        Ok(Notifications {
            list,
            next,
            unread: self.unread()?,
        })
    }

    fn notices(
        &self,
        causes: &[Cause],
        before: i64,
        many: usize,
    ) -> Result<Vec<(i64, i64, Cause)>, StoreError> {
        if causes.is_empty() {
            let mut statement = self.connection.prepare_cached(ALL).context(CONTEXT)?;
            let rows = statement.query_map(params![before, number(many)], read_row);
            return rows.and_then(Iterator::collect).context(CONTEXT);
        }
        let mut found: Vec<(i64, i64, Cause)> = Vec::new();
        for cause in CAUSES.into_iter().filter(|cause| causes.contains(cause)) {
            let mut statement = self.connection.prepare_cached(OF_CAUSE).context(CONTEXT)?;
            let rows = statement.query_map(params![before, number(many), cause as i64], read_row);
            found.extend(
                rows.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                    .context(CONTEXT)?,
            );
        }
        found.sort_unstable_by_key(|(seq, ..)| std::cmp::Reverse(*seq));
        found.truncate(many);
        Ok(found)
    }

    fn notice(&self, seq: i64, who: i64, cause: Cause) -> Result<Option<Notification>, StoreError> {
        let (by, by_name, _) = queries::person(&self.connection, who).context(CONTEXT)?;
        if self.hides_person(&by)? {
            return Ok(None);
        }
        if cause == Cause::Follow {
            let list = self.addressable(&by, Kind::ContactList, "")?;
            return Ok(list.map(|list| Notification {
                id: list.id,
                created_at: place::second_of(seq),
                by,
                by_name,
                cause,
                content: String::new(),
                target: None,
            }));
        }
        let Some(entry) = queries::stored_at(&self.connection, seq).context(CONTEXT)? else {
            return Ok(None);
        };
        let references = References::of(&entry.event);
        if self.with_mutes(|mutes| !mutes.is_empty() && mutes.hides(&entry.event, &references))? {
            return Ok(None);
        }
        let concerns = |(me, _)| social::concerns(&entry.event, &references, &me);
        let target = self.people.me.and_then(concerns).and_then(|(_, target)| target);
        let content = match entry.event.kind {
            Kind::Repost | Kind::GenericRepost => String::new(),
            _ => entry.event.content.clone(),
        };
        Ok(Some(Notification {
            id: entry.event.id,
            created_at: entry.event.created_at.as_secs(),
            by,
            by_name,
            cause,
            content,
            target,
        }))
    }

    /// Where a page goes on that has ended among what is hidden.
    fn cursor_at(&self, seq: i64, who: i64, cause: Cause) -> Result<Option<Cursor>, StoreError> {
        if cause == Cause::Follow {
            let (by, ..) = queries::person(&self.connection, who).context(CONTEXT)?;
            let list = self.addressable(&by, Kind::ContactList, "")?;
            return Ok(list.map(|list| Cursor {
                created_at: place::second_of(seq),
                id: list.id,
            }));
        }
        let entry = queries::stored_at(&self.connection, seq).context(CONTEXT)?;
        Ok(entry.map(|entry| Cursor::of(&entry.event)))
    }

    fn unread(&self) -> Result<u32, StoreError> {
        let read_until = queries::setting(&self.connection, READ_UNTIL).context(CONTEXT)?;
        let read_until: i64 = read_until.and_then(|place| place.parse().ok()).unwrap_or(-1);
        let rows: Vec<(i64, i64, Cause)> = {
            let mut statement = self.connection.prepare_cached(AFTER).context(CONTEXT)?;
            let rows = statement.query_map(params![read_until, MAX_UNREAD], read_row);
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        // Only muted words, hashtags and threads ask for the events themselves.
        let by_person = self.with_mutes(|mutes| {
            mutes.words.is_empty() && mutes.hashtags.is_empty() && mutes.threads.is_empty()
        })?;
        let mut unread = 0;
        for (seq, who, cause) in rows {
            let shown = if by_person {
                let (key, ..) = queries::person(&self.connection, who).context(CONTEXT)?;
                !self.hides_person(&key)?
            } else {
                self.notice(seq, who, cause)?.is_some()
            };
            unread += u32::from(shown);
        }
        Ok(unread)
    }

    pub(super) fn keep_read_until(&mut self, cursor: Cursor) -> Result<(), StoreError> {
        let read: Option<i64> = queries::setting(&self.connection, READ_UNTIL)
            .context(CONTEXT)?
            .and_then(|place| place.parse().ok());
        // A list of some causes may end earlier than what was read of all.
        let place = self.notice_place(Some(cursor))?.max(read.unwrap_or(-1));
        set_setting(&self.connection, READ_UNTIL, Some(&place.to_string())).context(CONTEXT)?;
        self.changes.queries.insert(Query::Notifications);
        Ok(())
    }

    /// The place of a notification: a follower stands where they first followed, not where their list stands now.
    fn notice_place(&self, cursor: Option<Cursor>) -> Result<i64, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(i64::MAX);
        };
        let stored = queries::stored(&self.connection, &cursor.id).context(CONTEXT)?;
        match stored {
            Some(list) if list.event.kind == Kind::ContactList => {
                const PLACE: &str = "SELECT seq FROM notification WHERE who = ?1 AND cause >= 5";
                let mut statement = self.connection.prepare_cached(PLACE).context(CONTEXT)?;
                let place = rusqlite::OptionalExtension::optional(
                    statement.query_row([list.author], |row| row.get(0)),
                );
                Ok(place.context(CONTEXT)?.unwrap_or(list.seq))
            }
            Some(entry) => Ok(entry.seq),
            None => Ok(place::place(cursor.created_at, &cursor.id)),
        }
    }

    /// Somebody uses this device: theirs are the notifications from now on.
    pub(super) fn become_me(&mut self, me: Option<PublicKey>) -> Result<(), StoreError> {
        const CONTEXT: &str = "changing whose device this is";
        let owner = queries::setting(&self.connection, OWNER).context(CONTEXT)?;
        let name = me.map(|me| me.to_hex());
        let before = self.people.me;
        let changed = self.write(|writer| {
            writer.people.me = match me {
                Some(me) => Some((me, writer.person(&me)?)),
                None => None,
            };
            writer.people.rings_are_stale();
            if owner == name {
                return Ok(());
            }
            writer
                .db
                .execute("DELETE FROM notification", [])
                .context(CONTEXT)?;
            set_setting(writer.db, OWNER, name.as_deref()).context(CONTEXT)?;
            set_setting(writer.db, READ_UNTIL, None).context(CONTEXT)?;
            let mut after = -1;
            while let Some(last) = notify_chunk(writer, after)? {
                after = last;
            }
            Ok(())
        });
        match changed {
            Ok(()) => self.people.set_private_mutes(Mutes::default()),
            Err(_) => self.people.me = before,
        }
        changed
    }

    pub(super) fn addressable(
        &self,
        author: &PublicKey,
        kind: Kind,
        identifier: &str,
    ) -> Result<Option<nostr::prelude::Event>, StoreError> {
        const CONTEXT: &str = "reading a replaceable event";
        let Some(number) = self.number_of(author)? else {
            return Ok(None);
        };
        let address = Address {
            author: *author,
            kind,
            identifier: identifier.to_owned(),
        };
        let Some(version) = queries::latest(&self.connection, number, &address).context(CONTEXT)? else {
            return Ok(None);
        };
        let id: EventId = version.id.0;
        let stored = queries::stored(&self.connection, &id).context(CONTEXT)?;
        Ok(stored.map(|stored| stored.event))
    }
}

/// Looks at some events after a place; the last place, until there are none left.
fn notify_chunk(writer: &mut Writer<'_>, after: i64) -> Result<Option<i64>, StoreError> {
    let places: Vec<i64> = {
        let mut statement = writer.db.prepare_cached(CANDIDATES).context(CONTEXT)?;
        let rows = statement.query_map([after], |row| row.get(0));
        rows.and_then(Iterator::collect).context(CONTEXT)?
    };
    for place in &places {
        if let Some(stored) = queries::stored_at(writer.db, *place).context(CONTEXT)? {
            if stored.event.kind == Kind::ContactList {
                writer.saw_follow_list(&stored.event)?;
            }
            let references = References::of(&stored.event);
            writer.notify(&stored.event, &references, stored.seq, stored.author)?;
        }
    }
    Ok(places.last().copied())
}

fn cursor_of(notice: &Notification) -> Cursor {
    Cursor {
        created_at: notice.created_at,
        id: notice.id,
    }
}
