-- Verified events, each as it was signed. Ids and keys are 32 bytes, times are seconds since the epoch.
CREATE TABLE event (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    author     BLOB    NOT NULL CHECK (length(author) = 32),
    created_at INTEGER NOT NULL,
    -- Ascending is newest first, so that one row comparison (rank, id) > (?, ?) continues a page. Not a generated
    -- column: SQLite does not take an index that holds one for covering.
    rank       INTEGER NOT NULL CHECK (rank = -created_at),
    kind       INTEGER NOT NULL,
    tags       TEXT    NOT NULL, -- JSON, an array of arrays of strings
    content    TEXT    NOT NULL,
    sig        BLOB    NOT NULL CHECK (length(sig) = 64)
) STRICT;

-- Everybody's timeline; reconciliation items of everybody (covering).
CREATE INDEX event_by_kind ON event (kind, rank, id);

-- One person's timeline, those of followed people (merged), note counts; reconciliation items of people (covering).
CREATE INDEX event_by_author ON event (author, kind, rank, id);

-- The name in each stored profile that has one: joined to every note shown.
CREATE TABLE profile_name (
    author BLOB NOT NULL PRIMARY KEY CHECK (length(author) = 32),
    name   TEXT NOT NULL CHECK (name <> '')
) STRICT, WITHOUT ROWID;

-- The stored follow lists, in their own order; read by follower.
CREATE TABLE follow (
    follower BLOB    NOT NULL CHECK (length(follower) = 32),
    position INTEGER NOT NULL,
    followed BLOB    NOT NULL CHECK (length(followed) = 32),
    PRIMARY KEY (follower, position)
) STRICT, WITHOUT ROWID;

-- The latest version ever verified of each replaceable event, stored or deleted.
CREATE TABLE latest (
    author     BLOB    NOT NULL CHECK (length(author) = 32),
    kind       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    id         BLOB    NOT NULL CHECK (length(id) = 32),
    PRIMARY KEY (author, kind)
) STRICT, WITHOUT ROWID;

-- Who asked to forget what. Binding for the author's own events only, which may arrive later.
CREATE TABLE tombstone (
    target BLOB NOT NULL CHECK (length(target) = 32),
    author BLOB NOT NULL CHECK (length(author) = 32),
    PRIMARY KEY (target, author)
) STRICT, WITHOUT ROWID;

-- Verified events that are not wanted again: deleted by their author, or superseded.
CREATE TABLE gone (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32)
) STRICT, WITHOUT ROWID;

-- Small values of this device.
CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
