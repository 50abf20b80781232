//! People under their small numbers, how near they are, and how much of a ring's budget is used: what nearly every call
//! needs, kept in memory beside the tables.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use nostr::prelude::PublicKey;
use rusqlite::{Connection, OptionalExtension, params};

use super::queries::unsigned;
use super::tables::execute;
use crate::social::{Mutes, Ring};
use crate::store::{Budget, Usage};

/// Numbers kept in memory: about 6 MB.
const MAX_NUMBERS: usize = 100_000;
/// How far over its budget a ring may go before more is refused: tidying brings it back.
const SLACK: f64 = 1.25;
/// The part of its ring's budget that one stranger may take.
const STRANGERS_SHARE: u64 = 8;

pub(super) const FIND: &str = "SELECT no FROM person WHERE key = ?1";
pub(super) const ADD: &str = "INSERT INTO person (key) VALUES (?1)";
/// By the keys of both tables.
pub(super) const STANDING: &str = "SELECT p.ring, p.bytes + p.memory, v.until FROM person p
    LEFT JOIN vanished v ON v.author = p.no WHERE p.no = ?1";
pub(super) const USED: &str =
    "SELECT ring, sum(events), sum(bytes) FROM person WHERE events > 0 GROUP BY ring";
pub(super) const BUDGETS: &str = "SELECT ring, events, bytes, age FROM budget";
pub(super) const COUNT_GONE: &str = "SELECT count(*) FROM gone";
/// Names of the store's own settings begin like this one.
const SALT: &str = "SELECT value FROM setting WHERE name = 'store.salt'";
const MAKE_SALT: &str =
    "INSERT OR IGNORE INTO setting (name, value) VALUES ('store.salt', CAST(random() AS TEXT))";
/// Everybody is a stranger but for these, by the index on `ring`.
pub(super) const REFRESH_RINGS: [&str; 5] = [
    "UPDATE person SET ring = 5 WHERE ring < 5",
    // Followed, by the key of `follow`.
    "UPDATE person SET ring = 2 WHERE no IN (SELECT followed FROM follow WHERE follower = ?1)",
    // Friends follow back, by `follow_by_followed`.
    "UPDATE person SET ring = 1 WHERE ring = 2
        AND EXISTS (SELECT 1 FROM follow WHERE followed = ?1 AND follower = person.no)",
    // Followed by a friend.
    "UPDATE person SET ring = 4 WHERE ring = 5 AND no IN
        (SELECT f.followed FROM person p CROSS JOIN follow f ON f.follower = p.no WHERE p.ring = 1)",
    "UPDATE person SET ring = 0 WHERE no = ?1",
];

/// What decides whether somebody's events are taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) ring: Ring,
    /// What is stored and remembered of them.
    bytes: u64,
    /// Up to when everything of theirs is to be forgotten.
    pub(super) vanished: Option<u64>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            ring: Ring::Stranger,
            bytes: 0,
            vanished: None,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) me: Option<(PublicKey, i64)>,
    /// This database's own random number.
    pub(super) salt: u64,
    /// Rows of `gone`, once they were counted.
    gone: Option<u32>,
    numbers: RefCell<HashMap<PublicKey, i64>>,
    stale_rings: Cell<bool>,
    mutes: RefCell<Option<Mutes>>,
    private_mutes: Mutes,
    used: RefCell<Option<[Usage; 6]>>,
    budgets: RefCell<Option<[Budget; 6]>>,
}

impl People {
    /// Reads what is kept in memory.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Self> {
        // A full disk does not keep the store from opening.
        let _ = db.execute(MAKE_SALT, []);
        let salt: Option<String> = db.query_row(SALT, [], |row| row.get(0)).optional()?;
        let salt: Option<i64> = salt.and_then(|salt| salt.parse().ok());
        Ok(Self {
            salt: salt.unwrap_or_default().cast_unsigned(),
            stale_rings: Cell::new(true),
            ..Self::default()
        })
    }

    /// A transaction was rolled back: what it put in memory is not true.
    pub(super) fn forget(&mut self) {
        *self = Self {
            me: self.me,
            salt: self.salt,
            stale_rings: self.stale_rings.clone(),
            private_mutes: std::mem::take(&mut self.private_mutes),
            ..Self::default()
        };
    }

    /// Rows of `gone`: counted when the first one comes, not while somebody waits for the first page.
    pub(super) fn gone(&mut self, db: &Connection) -> rusqlite::Result<u32> {
        if let Some(gone) = self.gone {
            return Ok(gone);
        }
        let counted = db.query_row(COUNT_GONE, [], |row| row.get(0))?;
        self.gone = Some(counted);
        Ok(counted)
    }

    pub(super) fn set_gone(&mut self, rows: u32) {
        self.gone = Some(rows);
    }

    pub(super) fn find(&self, db: &Connection, key: &PublicKey) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.numbers.borrow().get(key) {
            return Ok(Some(*number));
        }
        let found = db
            .prepare_cached(FIND)?
            .query_row([key.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(number) = found {
            self.keep(key, number);
        }
        Ok(found)
    }

    /// The number of a person, a new one if need be.
    pub(super) fn number(&self, db: &Connection, key: &PublicKey) -> rusqlite::Result<i64> {
        if let Some(number) = self.find(db, key)? {
            return Ok(number);
        }
        execute(db, ADD, [key.as_bytes()])?;
        let number = db.last_insert_rowid();
        self.keep(key, number);
        Ok(number)
    }

    fn keep(&self, key: &PublicKey, number: i64) {
        let mut numbers = self.numbers.borrow_mut();
        if numbers.len() >= MAX_NUMBERS {
            numbers.clear();
        }
        numbers.insert(*key, number);
    }

    /// Numbers were given back.
    pub(super) fn forget_numbers(&self) {
        self.numbers.borrow_mut().clear();
    }

    pub(super) fn is_me(&self, key: &PublicKey) -> bool {
        self.me.is_some_and(|(me, _)| me == *key)
    }

    /// The own number; one that nobody has, before there is one.
    pub(super) fn my_number(&self) -> i64 {
        self.me.map_or(-1, |(_, me)| me)
    }

    // Rings

    pub(super) fn rings_are_stale(&self) {
        self.stale_rings.set(true);
    }

    /// A follow list changed: those of the own and of followed people say who is near.
    pub(super) fn follows_changed(&self, db: &Connection, author: i64) -> rusqlite::Result<()> {
        let near = |ring| ring < Ring::RoomMember;
        if author == self.my_number() || near(self.standing(db, author)?.ring) {
            self.rings_are_stale();
        }
        Ok(())
    }

    /// How somebody stands here.
    pub(super) fn standing(&self, db: &Connection, person: i64) -> rusqlite::Result<Standing> {
        let found = db
            .prepare_cached(STANDING)?
            .query_row([person], |row| {
                Ok(Standing {
                    ring: ring(row.get(0)?),
                    bytes: unsigned(row, 1)?,
                    vanished: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Brings `person.ring` up to date.
    pub(super) fn refresh_rings(&self, db: &Connection) -> rusqlite::Result<()> {
        if !self.stale_rings.get() {
            return Ok(());
        }
        match self.write_rings(db) {
            // Who was near is near enough until there is room to write it.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => Ok(()),
            written => written,
        }
    }

    fn write_rings(&self, db: &Connection) -> rusqlite::Result<()> {
        let transaction = db.unchecked_transaction()?;
        let me = self.my_number();
        for (step, sql) in REFRESH_RINGS.iter().enumerate() {
            let mut statement = transaction.prepare_cached(sql)?;
            match step {
                0 | 3 => statement.execute([])?,
                _ => statement.execute([me])?,
            };
        }
        transaction.commit()?;
        self.stale_rings.set(false);
        *self.used.borrow_mut() = None;
        Ok(())
    }

    // Mutes

    pub(super) fn mutes_are_stale(&self) {
        *self.mutes.borrow_mut() = None;
    }

    pub(super) fn set_private_mutes(&mut self, mutes: Mutes) {
        self.private_mutes = mutes;
        self.mutes_are_stale();
    }

    /// Who and what is muted; `read` reads the public list.
    pub(super) fn with_mutes<T, E>(
        &self,
        read: impl FnOnce() -> Result<Option<Mutes>, E>,
        look: impl FnOnce(&Mutes) -> T,
    ) -> Result<T, E> {
        let known = self.mutes.borrow().is_some();
        if !known {
            let mut mutes = read()?.unwrap_or_default();
            mutes.merge(self.private_mutes.clone());
            *self.mutes.borrow_mut() = Some(mutes);
        }
        let mutes = self.mutes.borrow();
        Ok(look(mutes.as_ref().unwrap_or(&Mutes::default())))
    }

    // Room

    /// Whether more of somebody else who stands so may be stored.
    pub(super) fn has_room(&self, db: &Connection, standing: Standing) -> rusqlite::Result<bool> {
        let Standing { ring, bytes: own, .. } = standing;
        let budget = self.budget(db, ring)?;
        let used = self.usage(db, ring)?;
        let within =
            |used: u64, most: Option<u64>| most.is_none_or(|most| (used as f64) < most as f64 * SLACK);
        let fair = ring != Ring::Stranger || budget.bytes.is_none_or(|most| own < most / STRANGERS_SHARE);
        Ok(fair && within(used.events, budget.events) && within(used.bytes, budget.bytes))
    }

    pub(super) fn budget(&self, db: &Connection, ring: Ring) -> rusqlite::Result<Budget> {
        if let Some(budgets) = self.budgets.borrow().as_ref() {
            return Ok(budgets[ring as usize]);
        }
        let mut budgets = Ring::ALL.map(Budget::default_of);
        let mut statement = db.prepare_cached(BUDGETS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = |column| {
                row.get::<_, Option<i64>>(column)
                    .map(|n| n.map(i64::unsigned_abs))
            };
            budgets[self::ring(row.get(0)?) as usize] = Budget {
                events: number(1)?,
                bytes: number(2)?,
                age: number(3)?,
            };
        }
        *self.budgets.borrow_mut() = Some(budgets);
        Ok(budgets[ring as usize])
    }

    pub(super) fn budgets_changed(&self) {
        *self.budgets.borrow_mut() = None;
    }

    /// What a ring takes.
    pub(super) fn usage(&self, db: &Connection, ring: Ring) -> rusqlite::Result<Usage> {
        if let Some(used) = self.used.borrow().as_ref() {
            return Ok(used[ring as usize]);
        }
        let mut used = [Usage::default(); 6];
        let mut statement = db.prepare_cached(USED)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            used[self::ring(row.get(0)?) as usize] = Usage {
                events: unsigned(row, 1)?,
                bytes: unsigned(row, 2)?,
            };
        }
        *self.used.borrow_mut() = Some(used);
        Ok(used[ring as usize])
    }

    /// Somebody's events became more or fewer.
    pub(super) fn used(&self, ring: Option<u8>, events: i64, bytes: i64) {
        if let (Some(ring), Some(used)) = (ring, self.used.borrow_mut().as_mut()) {
            let used = &mut used[self::ring(ring) as usize];
            used.events = used.events.saturating_add_signed(events);
            used.bytes = used.bytes.saturating_add_signed(bytes);
        }
    }
}

/// A ring by its number in the tables.
pub(super) fn ring(number: u8) -> Ring {
    Ring::ALL
        .get(usize::from(number))
        .copied()
        .unwrap_or(Ring::Stranger)
}

/// Keeps a person's choice.
pub(super) fn set_budget(db: &Connection, ring: Ring, budget: Budget) -> rusqlite::Result<()> {
    let number = |n: Option<u64>| n.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let params = params![
        ring as u8,
        number(budget.events),
        number(budget.bytes),
        number(budget.age)
    ];
    execute(
        db,
        "INSERT OR REPLACE INTO budget (ring, events, bytes, age) VALUES (?1, ?2, ?3, ?4)",
        params,
    )
    .map(drop)
}
