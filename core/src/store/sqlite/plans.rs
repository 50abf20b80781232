//! Every query and write goes by an index, in the order that it needs: nothing grows with the table.
#![cfg(test)]

use rusqlite::Connection;

use super::tables::counts;
use super::{SqliteStore, find, notices, pages, people, queries, room, search, tables, tags, threads};

/// The steps of EXPLAIN QUERY PLAN, with parameters unset.
fn plan(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement
        .raw_query()
        .mapped(|row| row.get(3))
        .collect::<Result<_, _>>();
    steps.unwrap()
}

/// What the interface waits for, with the index meant for it where there is a choice.
const QUERIES: &[(&str, &str)] = &[
    (queries::KNOWN, "event_by_id"),
    (queries::SEQ, "event_by_id"),
    (queries::IS_TOMBSTONED, ""),
    (queries::LATEST, ""),
    (queries::FORGOTTEN, ""),
    (queries::ENTRY, ""),
    (queries::EVENT, "event_by_id"),
    (queries::COUNTS, "event_by_id"),
    (queries::PERSON, ""),
    (queries::NAME_AND_NOTES, ""),
    (queries::FOLLOWS, ""),
    (queries::ITEMS, ""),
    (
        queries::ITEMS_OF,
        "event_by_author (author=? AND class=? AND rowid>? AND rowid<?)",
    ),
    (queries::SETTING, ""),
    (queries::WRITTEN_FOR, ""),
    (pages::LISTED, "COVERING INDEX event_listed (seq<?)"),
    (pages::LISTED_AUTHORS, "COVERING INDEX event_listed (seq<?)"),
    (
        pages::OF_CLASS,
        "event_by_author (author=? AND class=? AND rowid<?)",
    ),
    (pages::MEDIA, "event_media (author=? AND rowid<?)"),
    (pages::TAGGED, "(tag=? AND seq<?)"),
    (threads::BELOW, "(target=? AND type=? AND who=? AND seq>?)"),
    (threads::PEOPLE, "(target=? AND type=? AND who>?)"),
    (notices::ALL, "(seq<?)"),
    (notices::OF_CAUSE, "notification_by_cause (cause=? AND seq<?)"),
    (notices::AFTER, "(seq>?)"),
    (notices::CANDIDATES, "INTEGER PRIMARY KEY (rowid>?)"),
    (search::NAMED, "person_by_name (name>? AND name<?)"),
    (search::NAMED_WITHIN, "person_by_use (ring<?)"),
    (room::EXPIRED, "(at<?)"),
    (room::HEAVIEST, "person_by_use (ring=?)"),
    (room::OLDEST, "event_by_author (author=? AND class=?)"),
    (room::MEMBERS, "INTEGER PRIMARY KEY (rowid>?)"),
    (room::BY_PERSON, "person_by_use (ring=?)"),
    (room::IN_RING, "person_by_use (ring=?)"),
    (room::FOLLOWERS, "follow_by_followed (followed=?)"),
    (room::COUNT_FOLLOWERS, "follow_by_followed (followed=?)"),
    (room::UNUSED, "INTEGER PRIMARY KEY (rowid>?)"),
    (room::AFTER, "INTEGER PRIMARY KEY (rowid>?)"),
    (find::OF_TIME, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    (
        find::OF_AUTHOR,
        "event_by_author (author=? AND class=? AND rowid>? AND rowid<?)",
    ),
    (find::OF_TAG, "(hash=? AND seq>? AND seq<?)"),
    (find::LATEST_OF, "(author=? AND kind=?)"),
    (people::FIND, ""),
    (people::STANDING, ""),
];

/// Writes that look for rows first.
const WRITES: &[&str] = &[
    tables::DELETE_EVENT,
    tables::DELETE_BODY,
    counts::DELETE_LINK,
    counts::HAS_LINK,
    tables::REPOSTERS,
    counts::ADD_COUNTS,
    counts::SET_COUNTS,
    counts::KEEP_COUNTS,
    counts::DELETE_TALLY,
    counts::DELETE_EMPTY_TALLY,
    tables::DELETE_HASHTAG,
    tables::DELETE_EXPIRY,
    tables::DELETE_NOTIFICATION,
    tables::EARLIER_FOLLOWER,
    tables::SHOW_FOLLOWER,
    tables::HIDE_FOLLOWER,
    tables::PRUNE_GONE,
    tables::EVENTS_UNTIL,
    tables::HAS_VANISHED,
    tables::SET_NAME,
    tables::DELETE_FOLLOWS,
    tables::ADD_USE,
    tables::DELETE_SETTING,
    tables::FORGET_REQUESTS,
    tags::DELETE_TAG,
];

#[test]
fn every_query_is_a_range_of_the_index_meant_for_it() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.index_tags().unwrap();
    for (sql, index) in QUERIES {
        let plan = plan(&store.connection, sql);
        assert!(plan.iter().any(|step| step.contains(index)), "{sql}\n{plan:#?}");
        for step in &plan {
            let whole_table = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
            assert!(!whole_table && !step.contains("TEMP B-TREE"), "{sql}\n{plan:#?}");
        }
    }
}

#[test]
fn no_write_looks_through_a_table() {
    let mut store = SqliteStore::in_memory().unwrap();
    store.index_tags().unwrap();
    for sql in WRITES {
        let plan = plan(&store.connection, sql);
        assert!(
            plan.iter().all(|step| step.starts_with("SEARCH")
                || step == "SCAN CONSTANT ROW"
                || step.contains("SCALAR SUBQUERY")),
            "{sql}\n{plan:#?}"
        );
    }
}

#[test]
fn the_search_reads_newest_first_and_stops() {
    let store = SqliteStore::in_memory().unwrap();
    let plan = plan(&store.connection, search::NOTES);
    assert!(
        plan.iter().all(|step| !step.contains("TEMP B-TREE")),
        "the full-text index delivers its own order: {plan:#?}"
    );
}
