//! Whether a database holds together: as SQLite sees it, and everything that is kept beside the events as it would be
//! made from them anew.

use rusqlite::Connection;

/// Each finds rows that should not be there.
const CONTRADICTIONS: [(&str, &str); 12] = [
    (
        "an event without a body",
        "SELECT seq FROM event WHERE seq NOT IN (SELECT seq FROM body)",
    ),
    (
        "a body without an event",
        "SELECT seq FROM body WHERE seq NOT IN (SELECT seq FROM event)",
    ),
    (
        "an event of nobody",
        "SELECT seq FROM event WHERE author NOT IN (SELECT no FROM person)",
    ),
    (
        "something made from an event that is gone",
        "SELECT seq FROM (SELECT seq FROM link UNION SELECT seq FROM hashtag UNION SELECT seq FROM expiry
            UNION SELECT seq FROM notification WHERE cause < 5) WHERE seq NOT IN (SELECT seq FROM event)",
    ),
    (
        "counts that are not those of the links",
        "WITH counted AS (SELECT target, sum(type = 1) AS a, sum(type = 2) AS b,
            count(DISTINCT CASE WHEN type = 3 THEN who END) AS c,
            count(DISTINCT CASE WHEN type = 4 THEN who END) AS d,
            count(DISTINCT CASE WHEN type = 5 THEN who END) AS e FROM link GROUP BY target),
         kept AS (SELECT target, replies, thread, reposts, quotes, reactions FROM tally
            UNION ALL SELECT substr(id, 1, 8), replies, thread, reposts, quotes, reactions FROM event
            WHERE replies OR thread OR reposts OR quotes OR reactions)
         SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
         UNION ALL SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)",
    ),
    (
        "a tally of an event that is here",
        "SELECT target FROM tally WHERE target IN (SELECT substr(id, 1, 8) FROM event)",
    ),
    (
        "a person's figures that are not those of their events",
        "SELECT no FROM person WHERE (notes, events) IS NOT
            (SELECT coalesce(sum(kind = 1), 0), count(*) FROM event WHERE author = no)",
    ),
    (
        "a kind's figures that are not those of its events",
        "SELECT kind FROM kind_use u WHERE events IS NOT (SELECT count(*) FROM event e WHERE e.kind = u.kind)",
    ),
    (
        "bytes that are not the same by person and by kind, or less than the bodies",
        "SELECT 1 WHERE (SELECT sum(bytes) FROM person) <> (SELECT sum(bytes) FROM kind_use)
            OR (SELECT sum(bytes) FROM person) < (SELECT sum(length(data)) FROM body)",
    ),
    (
        "a kind that is not counted",
        "SELECT kind FROM event WHERE kind NOT IN (SELECT kind FROM kind_use)",
    ),
    (
        "a follow list of nobody",
        "SELECT follower FROM follow WHERE follower NOT IN (SELECT author FROM event WHERE kind = 3)",
    ),
    (
        "a version that is not there and not gone",
        "SELECT l.id FROM latest l WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.id = l.id)
            AND NOT EXISTS (SELECT 1 FROM gone g WHERE g.id = substr(l.id, 1, 8))",
    ),
];

/// Looks into a database that nobody has open. Every note of it must contain `word`.
pub(crate) fn check(path: &std::path::Path, word: &str, when: &str) {
    let db = Connection::open(path).unwrap();
    let verdict: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok", "{when}");
    for (what, query) in CONTRADICTIONS {
        let found = db.prepare(query).unwrap().exists([]).unwrap();
        assert!(!found, "{when}: {what}");
    }
    let places = |query: &str| -> Vec<i64> {
        let mut statement = db.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(
        places(&format!(
            "SELECT rowid FROM word WHERE word MATCH '{word}' ORDER BY rowid"
        )),
        places("SELECT seq FROM event WHERE kind = 1 ORDER BY seq"),
        "{when}: the search finds what is there"
    );
}
