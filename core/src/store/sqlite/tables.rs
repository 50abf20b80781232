//! What is written: the rules' tables in SQL, within a transaction.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use nostr::prelude::{Event, EventId, Kind, PublicKey};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::error::Context;
use super::people::{People, Standing};
use super::queries::{self, Stored, number, seconds, short};
use super::tags::{self, Tags};
use super::{codec, place};
use crate::social::{self, Address, References, read_follows};
use crate::store::rules::{self, Tables, Version, shown_name};
use crate::store::{Cause, Changes, Entry, Known, Query, REQUESTS_KEPT, RequestKey, StoreError, words};
use crate::time::Millis;

pub(super) mod counts;

use counts::{Deltas, Link};

const CONTEXT: &str = "storing an event";
/// Changed queries that are told one by one; past it, everything may have changed.
const MAX_QUERIES: usize = 500;
/// Ids that are remembered as not wanted: 9 bytes each.
const MAX_GONE: u32 = 300_000;
/// Events of somebody who vanished that one transaction removes: about 50 ms of work.
const MAX_VANISHED: usize = 1_000;
/// What an event takes besides its body: its row and its index entries, about.
const ROW_BYTES: usize = 120;
/// What a deleted id or address takes that is remembered.
const MEMORY_BYTES: usize = 80;
/// What a line of a follow list takes.
const FOLLOW_BYTES: usize = 24;

pub(super) const INSERT_EVENT: &str =
    "INSERT OR IGNORE INTO event (seq, id, author, kind, class, media, moved)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const INSERT_BODY: &str = "INSERT INTO body (seq, data) VALUES (?1, ?2)";
pub(super) const DELETE_EVENT: &str = "DELETE FROM event WHERE seq = ?1";
pub(super) const DELETE_BODY: &str = "DELETE FROM body WHERE seq = ?1";
pub(super) const INSERT_WORDS: &str = "INSERT INTO word (rowid, text) VALUES (?1, ?2)";
/// A table without content is told what to forget.
pub(super) const DELETE_WORDS: &str = "INSERT INTO word (word, rowid, text) VALUES ('delete', ?1, ?2)";
/// A range of the key of `link`; people by their key.
pub(super) const REPOSTERS: &str = "SELECT p.key FROM link l CROSS JOIN person p ON p.no = l.who
    WHERE l.target = ?1 AND l.type = ?2 GROUP BY l.who LIMIT ?3";
pub(super) const INSERT_HASHTAG: &str = "INSERT OR IGNORE INTO hashtag (tag, seq) VALUES (?1, ?2)";
pub(super) const DELETE_HASHTAG: &str = "DELETE FROM hashtag WHERE tag = ?1 AND seq = ?2";
pub(super) const INSERT_EXPIRY: &str = "INSERT OR IGNORE INTO expiry (at, seq) VALUES (?1, ?2)";
pub(super) const DELETE_EXPIRY: &str = "DELETE FROM expiry WHERE at = ?1 AND seq = ?2";
pub(super) const INSERT_NOTIFICATION: &str =
    "INSERT OR IGNORE INTO notification (seq, who, cause) VALUES (?1, ?2, ?3)";
pub(super) const DELETE_NOTIFICATION: &str =
    "DELETE FROM notification WHERE seq = ?1 AND who = ?2 AND cause < 5";
/// By `notification_of_follower`: 6 is a follower by an earlier list, not by the present one.
pub(super) const INSERT_FOLLOWER: &str =
    "INSERT OR IGNORE INTO notification (seq, who, cause) VALUES (?1, ?2, 6)";
pub(super) const EARLIER_FOLLOWER: &str =
    "UPDATE OR IGNORE notification SET seq = ?1 WHERE who = ?2 AND cause >= 5 AND seq > ?1";
pub(super) const SHOW_FOLLOWER: &str = "UPDATE notification SET cause = 5 WHERE who = ?1 AND cause >= 5";
pub(super) const HIDE_FOLLOWER: &str = "UPDATE notification SET cause = 6 WHERE who = ?1 AND cause >= 5";
pub(super) const INSERT_GONE: &str = "INSERT OR IGNORE INTO gone (id) VALUES (?1)";
pub(super) const FORGET_GONE: &str = "DELETE FROM gone";
/// A random eighth of them.
pub(super) const PRUNE_GONE: &str = "DELETE FROM gone WHERE id BETWEEN ?1 AND ?2";
pub(super) const INSERT_TOMBSTONE: &str = "INSERT OR IGNORE INTO tombstone (author, target) VALUES (?1, ?2)";
pub(super) const SET_LATEST: &str =
    "INSERT INTO latest (author, kind, identifier, created_at, id) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (author, kind, identifier) DO UPDATE SET created_at = excluded.created_at, id = excluded.id";
pub(super) const SET_FORGOTTEN: &str =
    "INSERT INTO forgotten (author, kind, identifier, until) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (author, kind, identifier) DO UPDATE SET until = max(until, excluded.until)";
pub(super) const SET_VANISHED: &str = "INSERT INTO vanished (author, until) VALUES (?1, ?2)
    ON CONFLICT (author) DO UPDATE SET until = max(until, excluded.until)";
pub(super) const SET_VANISHING: &str = "INSERT OR IGNORE INTO vanishing (author) VALUES (?1)";
pub(super) const HAS_VANISHED: &str = "DELETE FROM vanishing WHERE author = ?1";
/// Ranges of `event_by_author` for each class.
pub(super) const EVENTS_UNTIL: &str =
    "SELECT seq FROM event WHERE author = ?1 AND class IN (0, 1, 2) AND seq < ?2
    AND kind NOT IN (5, 62) AND (moved IS NULL OR moved <= ?3) LIMIT ?4";
pub(super) const SET_NAME: &str = "UPDATE person SET name = ?2 WHERE no = ?1";
pub(super) const INSERT_FOLLOW: &str =
    "INSERT INTO follow (follower, position, followed) VALUES (?1, ?2, ?3)";
pub(super) const DELETE_FOLLOWS: &str = "DELETE FROM follow WHERE follower = ?1";
pub(super) const ADD_USE: &str =
    "UPDATE person SET notes = notes + ?2, events = events + ?3, bytes = bytes + ?4,
    memory = memory + ?5 WHERE no = ?1
    RETURNING ring";
pub(super) const ADD_KIND_USE: &str = "INSERT INTO kind_use (kind, events, bytes) VALUES (?1, ?2, ?3)
    ON CONFLICT (kind) DO UPDATE SET events = events + excluded.events, bytes = bytes + excluded.bytes";
pub(super) const SET_SETTING: &str = "INSERT INTO setting (name, value) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const DELETE_SETTING: &str = "DELETE FROM setting WHERE name = ?1";
pub(super) const NOTE_REQUEST: &str = "INSERT OR REPLACE INTO request (key, event, at) VALUES (?1, ?2, ?3)";
/// By `request_by_age`.
pub(super) const FORGET_REQUESTS: &str = "DELETE FROM request WHERE at < ?1";

/// How many rows and bytes more or fewer.
#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    notes: i64,
    events: i64,
    bytes: i64,
    memory: i64,
}

/// What the search's index is to forget of a place, and what it is to learn.
#[derive(Debug, Default)]
struct Words {
    gone: Option<String>,
    new: Option<String>,
}

/// A transaction that the caller commits after [`Writer::finish`].
pub(super) struct Writer<'a> {
    pub(super) db: &'a Connection,
    pub(super) people: &'a mut People,
    pub(super) tags: Tags,
    pub(super) changes: Changes,
    /// What is added up and written once at the end: an author of ten notes, a note of a hundred reactions.
    used: HashMap<i64, Delta>,
    kinds: BTreeMap<u16, Delta>,
    counts: Deltas,
    /// Written in ascending order: the index makes a part of itself of every step back.
    words: BTreeMap<i64, Words>,
    /// Of those who were met: what they use is written at the end, so it stays true.
    standings: RefCell<HashMap<i64, Standing>>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(db: &'a Connection, people: &'a mut People) -> Self {
        Self {
            db,
            people,
            tags: Tags::No,
            changes: Changes::default(),
            used: HashMap::new(),
            kinds: BTreeMap::new(),
            counts: Deltas::new(),
            words: BTreeMap::new(),
            standings: RefCell::default(),
        }
    }

    /// Writes what was added up.
    pub(super) fn finish(mut self) -> Result<Changes, StoreError> {
        for (seq, Words { gone, new }) in std::mem::take(&mut self.words) {
            if let Some(text) = gone {
                self.run(DELETE_WORDS, params![seq, text])?;
            }
            if let Some(text) = new {
                self.run(INSERT_WORDS, params![seq, text])?;
            }
        }
        self.write_counts()?;
        for (person, delta) in std::mem::take(&mut self.used) {
            let Delta {
                notes,
                events,
                bytes,
                memory,
            } = delta;
            let params = params![person, notes, events, bytes, memory];
            let ring: Option<u8> = self.get(ADD_USE, params, |row| row.get(0))?;
            self.people.used(ring, events, bytes);
        }
        for (kind, Delta { events, bytes, .. }) in std::mem::take(&mut self.kinds) {
            self.run(ADD_KIND_USE, params![kind, events, bytes])?;
        }
        Ok(self.changes)
    }

    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, StoreError> {
        execute(self.db, sql, params).context(CONTEXT)
    }

    fn get<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.db.prepare_cached(sql).context(CONTEXT)?;
        statement.query_row(params, read).optional().context(CONTEXT)
    }

    /// The number of somebody who is known; `None` when nothing is kept of them.
    fn known_person(&self, key: &PublicKey) -> Result<Option<i64>, StoreError> {
        self.people.find(self.db, key).context(CONTEXT)
    }

    pub(super) fn person(&mut self, key: &PublicKey) -> Result<i64, StoreError> {
        self.people.number(self.db, key).context(CONTEXT)
    }

    fn standing(&self, key: &PublicKey) -> Result<Standing, StoreError> {
        let Some(person) = self.known_person(key)? else {
            return Ok(Standing::default());
        };
        if let Some(standing) = self.standings.borrow().get(&person) {
            return Ok(*standing);
        }
        let standing = self.people.standing(self.db, person).context(CONTEXT)?;
        self.standings.borrow_mut().insert(person, standing);
        Ok(standing)
    }

    fn changed(&mut self, query: Query) {
        let apart = |query: &Query| matches!(query, Query::Notifications | Query::Mutes | Query::Storage);
        let queries = &mut self.changes.queries;
        if queries.len() >= MAX_QUERIES {
            queries.retain(apart);
            queries.insert(Query::Everything);
        }
        if apart(&query) || !queries.contains(&Query::Everything) {
            queries.insert(query);
        }
    }

    fn index(
        &mut self,
        event: &Event,
        references: &References,
        seq: i64,
        author: i64,
    ) -> Result<(), StoreError> {
        self.link(event, references, seq, author)?;
        if event.kind == Kind::TextNote {
            for tag in &references.hashtags {
                self.run(INSERT_HASHTAG, params![tag, seq])?;
                self.changed(Query::Hashtag(tag.clone()));
            }
            let text = words::index(&event.content, &references.hashtags);
            self.words.entry(seq).or_default().new = Some(text);
        }
        if self.tags != Tags::No {
            tags::run(self.db, tags::INSERT_TAG, self.people.salt, event, seq)?;
        }
        if let Some(at) = social::expiration(event) {
            self.run(INSERT_EXPIRY, params![seconds(at), seq])?;
        }
        self.notify(event, references, seq, author)?;
        self.person_changed(event, author, true)
    }

    fn unindex(&mut self, event: &Event, seq: i64, author: i64) -> Result<(), StoreError> {
        let references = References::of(event);
        self.unlink(event, &references, seq, author)?;
        if event.kind == Kind::TextNote {
            for tag in &references.hashtags {
                self.run(DELETE_HASHTAG, params![tag, seq])?;
                self.changed(Query::Hashtag(tag.clone()));
            }
            let words = self.words.entry(seq).or_default();
            if words.new.take().is_none() {
                words.gone = Some(words::index(&event.content, &references.hashtags));
            }
        }
        if self.tags != Tags::No {
            tags::run(self.db, tags::DELETE_TAG, self.people.salt, event, seq)?;
        }
        if let Some(at) = social::expiration(event) {
            self.run(DELETE_EXPIRY, params![seconds(at), seq])?;
        }
        if self.run(DELETE_NOTIFICATION, params![seq, author])? > 0 {
            self.changed(Query::Notifications);
        }
        self.person_changed(event, author, false)
    }

    pub(super) fn notify(
        &mut self,
        event: &Event,
        references: &References,
        seq: i64,
        author: i64,
    ) -> Result<(), StoreError> {
        let concerns = |(me, _)| social::concerns(event, references, &me);
        match self.people.me.and_then(concerns) {
            None => return Ok(()),
            Some((Cause::Follow, _)) => {
                self.run(INSERT_FOLLOWER, [seq, author])?;
                self.run(SHOW_FOLLOWER, [author])?;
            }
            Some((cause, _)) => {
                self.run(INSERT_NOTIFICATION, params![seq, author, cause as i64])?;
            }
        }
        self.changed(Query::Notifications);
        Ok(())
    }

    /// What an event says of its author, as it comes or goes.
    fn person_changed(&mut self, event: &Event, author: i64, comes: bool) -> Result<(), StoreError> {
        match event.kind {
            Kind::Metadata => {
                let name = comes.then(|| shown_name(event)).flatten();
                self.run(SET_NAME, params![author, name])?;
                self.changed(Query::Profile(event.pubkey));
            }
            Kind::ContactList => {
                if comes {
                    self.follow(event, author)?;
                } else {
                    self.unfollow(author)?;
                }
                self.people.follows_changed(self.db, author).context(CONTEXT)?;
                self.changed(Query::Follows(event.pubkey));
            }
            Kind::MuteList if self.is_me(author) => {
                self.people.mutes_are_stale();
                self.changed(Query::Mutes);
            }
            kind if kind.is_addressable() => self.changed(Query::Lists(event.pubkey)),
            _ => {}
        }
        self.note_changed(event)
    }

    fn follow(&mut self, list: &Event, author: i64) -> Result<(), StoreError> {
        for (position, followed) in read_follows(list).iter().enumerate() {
            let followed = self.person(followed)?;
            self.run(INSERT_FOLLOW, params![author, number(position), followed])?;
        }
        if self.is_me(author) {
            // What was dropped of a stranger is wanted of somebody who is followed.
            self.forget_gone()?;
        }
        Ok(())
    }

    fn unfollow(&mut self, author: i64) -> Result<(), StoreError> {
        self.run(DELETE_FOLLOWS, [author])?;
        if self.run(HIDE_FOLLOWER, [author])? > 0 {
            self.changed(Query::Notifications);
        }
        Ok(())
    }

    fn note_changed(&mut self, event: &Event) -> Result<(), StoreError> {
        if matches!(event.kind, Kind::TextNote | Kind::Repost | Kind::GenericRepost) {
            self.changed(Query::Notes(event.pubkey));
            self.changed(Query::Thread(event.id));
        }
        if event.kind == Kind::TextNote {
            self.reposters_changed(&event.id)?;
        }
        Ok(())
    }

    /// A note stands wherever somebody reposted it, perhaps before it came.
    fn reposters_changed(&mut self, note: &EventId) -> Result<(), StoreError> {
        if self.changes.queries.contains(&Query::Everything) {
            return Ok(());
        }
        let people: Vec<PublicKey> = {
            let mut statement = self.db.prepare_cached(REPOSTERS).context(CONTEXT)?;
            let params = params![short(note), Link::Repost as i64, number(MAX_QUERIES)];
            let rows = statement.query_map(params, |row| queries::key(row, 0));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        for person in people {
            self.changed(Query::Notes(person));
        }
        Ok(())
    }

    fn is_me(&self, person: i64) -> bool {
        self.people.me.is_some_and(|(_, me)| me == person)
    }

    fn account(&mut self, event: &Event, author: i64, body_bytes: usize, sign: i64) {
        let bytes = number(size(event, body_bytes));
        let used = self.used.entry(author).or_default();
        used.notes += sign * i64::from(event.kind == Kind::TextNote);
        used.events += sign;
        used.bytes += sign * bytes;
        let kind = self.kinds.entry(event.kind.as_u16()).or_default();
        kind.events += sign;
        kind.bytes += sign * bytes;
    }

    /// What is remembered of an author's events beyond the events: it counts for as long as anything of theirs is here.
    fn account_memory(&mut self, author: i64, bytes: usize) {
        self.used.entry(author).or_default().memory += number(bytes);
    }

    /// Removes what a person who vanished has from before that moment, a bounded amount at a time; true when there is
    /// more, which tidying goes on with.
    pub(super) fn vanish_some(&mut self, person: i64, until: u64) -> Result<bool, StoreError> {
        let old: Vec<i64> = {
            let mut statement = self.db.prepare_cached(EVENTS_UNTIL).context(CONTEXT)?;
            // One that stands earlier than it says was moved there: the row tells.
            let end = place::first_of(until.saturating_add(1));
            let params = params![person, end, seconds(until), number(MAX_VANISHED)];
            let rows = statement.query_map(params, |row| row.get(0));
            rows.and_then(Iterator::collect).context(CONTEXT)?
        };
        let mut removed = 0;
        for place in &old {
            if let Some(stored) = queries::stored_at(self.db, *place).context(CONTEXT)? {
                self.remove(&stored)?;
                removed += 1;
            }
        }
        // What is damaged stays, and is no reason to come back for ever.
        let more = old.len() >= MAX_VANISHED && removed > 0;
        self.run(if more { SET_VANISHING } else { HAS_VANISHED }, [person])?;
        Ok(more)
    }

    /// Everything is wanted again that peers have.
    pub(super) fn forget_gone(&mut self) -> Result<(), StoreError> {
        self.run(FORGET_GONE, [])?;
        self.people.set_gone(0);
        Ok(())
    }

    /// Removes a stored event with everything that was made from it.
    pub(super) fn remove(&mut self, stored: &Stored) -> Result<(), StoreError> {
        self.changes.removed.push(Entry::of(&stored.event));
        self.unindex(&stored.event, stored.seq, stored.author)?;
        self.keep_counts(stored.seq)?;
        self.run(DELETE_EVENT, [stored.seq])?;
        self.run(DELETE_BODY, [stored.seq])?;
        self.account(&stored.event, stored.author, stored.body_bytes, -1);
        self.set_gone(&stored.event.id)
    }
}

impl Tables for Writer<'_> {
    fn known(&self, id: &EventId) -> Result<Known, StoreError> {
        queries::known(self.db, id).context(CONTEXT)
    }

    fn is_tombstoned(&self, id: &EventId, author: &PublicKey) -> Result<bool, StoreError> {
        match self.known_person(author)? {
            Some(author) => queries::is_tombstoned(self.db, id, author).context(CONTEXT),
            None => Ok(false),
        }
    }

    fn tombstone(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        let author = self.person(author)?;
        if self.run(INSERT_TOMBSTONE, params![author, id.as_bytes()])? > 0 {
            self.account_memory(author, MEMORY_BYTES);
        }
        Ok(())
    }

    fn forgotten_until(&self, address: &Address) -> Result<Option<u64>, StoreError> {
        match self.known_person(&address.author)? {
            Some(author) => queries::forgotten_until(self.db, author, address).context(CONTEXT),
            None => Ok(None),
        }
    }

    fn forget_until(&mut self, address: &Address, until: u64) -> Result<(), StoreError> {
        let author = self.person(&address.author)?;
        let params = params![author, address.kind.as_u16(), address.identifier, seconds(until)];
        self.run(SET_FORGOTTEN, params)?;
        self.account_memory(author, MEMORY_BYTES + address.identifier.len());
        Ok(())
    }

    fn vanished_until(&self, author: &PublicKey) -> Result<Option<u64>, StoreError> {
        Ok(self.standing(author)?.vanished)
    }

    fn vanish_until(&mut self, author: &PublicKey, until: u64) -> Result<(), StoreError> {
        let person = self.person(author)?;
        self.run(SET_VANISHED, params![person, seconds(until)])?;
        self.standings.borrow_mut().remove(&person);
        self.vanish_some(person, until).map(drop)
    }

    fn latest(&self, address: &Address) -> Result<Option<Version>, StoreError> {
        match self.known_person(&address.author)? {
            Some(author) => queries::latest(self.db, author, address).context(CONTEXT),
            None => Ok(None),
        }
    }

    fn set_latest(&mut self, address: &Address, version: Version) -> Result<(), StoreError> {
        let Version { created_at, id } = version;
        let author = self.person(&address.author)?;
        if address.kind.is_addressable()
            && queries::latest(self.db, author, address)
                .context(CONTEXT)?
                .is_none()
        {
            self.account_memory(author, MEMORY_BYTES + address.identifier.len());
        }
        let params = params![
            author,
            address.kind.as_u16(),
            address.identifier,
            seconds(created_at),
            id.0.as_bytes()
        ];
        self.run(SET_LATEST, params).map(drop)
    }

    fn has_room(&self, event: &Event) -> Result<bool, StoreError> {
        if self.people.is_me(&event.pubkey) {
            return Ok(true);
        }
        let standing = self.standing(&event.pubkey)?;
        self.people.has_room(self.db, standing).context(CONTEXT)
    }

    fn insert(&mut self, event: &Event) -> Result<(), StoreError> {
        let author = self.person(&event.pubkey)?;
        let created_at = event.created_at.as_secs();
        let references = References::of(event);
        let class = match event.kind {
            Kind::TextNote if references.parent.is_some() => 2,
            Kind::TextNote | Kind::Repost | Kind::GenericRepost => 1,
            _ => 0,
        };
        let media = i64::from(event.kind == Kind::TextNote && !references.media.is_empty());
        let counted = self.counted(&event.id)?;
        let mut seq = None;
        for place in place::candidates(created_at, &event.id, self.people.salt) {
            let moved = (place::second_of(place) != created_at).then(|| seconds(created_at));
            let params: [&dyn ToSql; 7] = [
                &place,
                event.id.as_bytes(),
                &author,
                &event.kind.as_u16(),
                &class,
                &media,
                &moved,
            ];
            if self.run(INSERT_EVENT, params)? > 0 {
                seq = Some(place);
                break;
            }
        }
        let Some(seq) = seq else {
            return Err(StoreError {
                context: CONTEXT,
                reason: "too many events of one second".to_owned(),
                full: false,
                damaged: false,
            });
        };
        self.take_counts(&event.id, seq, counted)?;
        let data = codec::encode(event);
        self.run(INSERT_BODY, params![seq, data])?;
        self.index(event, &references, seq, author)?;
        self.changes.added.push(Entry::of(event));
        self.account(event, author, data.len(), 1);
        Ok(())
    }

    fn retire(&mut self, id: &EventId, author: &PublicKey) -> Result<(), StoreError> {
        let stored = queries::stored(self.db, id).context(CONTEXT)?;
        let Some(stored) =
            stored.filter(|stored| stored.event.pubkey == *author && !rules::is_lasting(stored.event.kind))
        else {
            return Ok(());
        };
        self.remove(&stored)
    }

    fn set_gone(&mut self, id: &EventId) -> Result<(), StoreError> {
        let before = self.people.gone(self.db).context(CONTEXT)?;
        let mut gone = before.saturating_add(rows(self.run(INSERT_GONE, [short(id)])?));
        if gone > MAX_GONE {
            // Ids are random numbers: those that begin like this one are a fair sample.
            let (mut first, mut last) = ([0; 8], [0xff; 8]);
            first[0] = id.as_bytes()[0] & 0xe0;
            last[0] = first[0] | 0x1f;
            gone = gone.saturating_sub(rows(self.run(PRUNE_GONE, params![first, last])?));
        }
        self.people.set_gone(gone);
        Ok(())
    }

    fn saw_follow_list(&mut self, event: &Event) -> Result<(), StoreError> {
        let Some((me, _)) = self.people.me else {
            return Ok(());
        };
        if social::concerns(event, &References::default(), &me).is_some() {
            let seq = place::place(event.created_at.as_secs(), &event.id);
            let author = self.person(&event.pubkey)?;
            self.run(INSERT_FOLLOWER, [seq, author])?;
            self.run(EARLIER_FOLLOWER, [seq, author])?;
        }
        Ok(())
    }
}

fn rows(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What an event takes, indices included, about.
pub(super) fn size(event: &Event, body_bytes: usize) -> usize {
    let follows = if event.kind == Kind::ContactList {
        event.tags.len()
    } else {
        0
    };
    // The search's index of a text is about as large as the text.
    let words = if event.kind == Kind::TextNote {
        event.content.len()
    } else {
        0
    };
    body_bytes + ROW_BYTES + follows * FOLLOW_BYTES + words
}

pub(super) fn set_setting(db: &Connection, name: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => execute(db, SET_SETTING, params![name, value]),
        None => execute(db, DELETE_SETTING, params![name]),
    }
    .map(drop)
}

/// Notes what a request has written, and forgets those of long ago.
pub(super) fn note_request(
    db: &Connection,
    request: RequestKey,
    event: EventId,
    now: Millis,
) -> rusqlite::Result<()> {
    let now = now.0 / 1000;
    execute(
        db,
        FORGET_REQUESTS,
        [seconds(now.saturating_sub(REQUESTS_KEPT.as_secs()))],
    )?;
    execute(
        db,
        NOTE_REQUEST,
        params![request.0, event.as_bytes(), seconds(now)],
    )
    .map(drop)
}

pub(super) fn execute(db: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(params)
}
