-- Made for a million events: narrow rows in the order of time, keys interned, what is counted kept instead of recounted.
-- The events of version 1 are put again from these tables, which are dropped then.
ALTER TABLE event RENAME TO event_1;
DROP INDEX event_by_kind;
DROP INDEX event_by_author;
DROP TABLE profile_name;
DROP TABLE follow;
ALTER TABLE latest RENAME TO latest_1;
ALTER TABLE tombstone RENAME TO tombstone_1;
DROP TABLE gone;

-- Everybody who wrote or is followed by somebody, under a small number.
CREATE TABLE person (
    no     INTEGER PRIMARY KEY,
    key    BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    name   TEXT,                         -- of the stored profile
    ring   INTEGER NOT NULL DEFAULT 5,   -- social::Ring; brought up to date before it is read
    notes  INTEGER NOT NULL DEFAULT 0,
    events INTEGER NOT NULL DEFAULT 0,
    bytes  INTEGER NOT NULL DEFAULT 0,
    memory INTEGER NOT NULL DEFAULT 0    -- bytes of what is remembered of events that are gone
) STRICT;

-- Who takes most of a ring's budget; the members of a ring.
CREATE INDEX person_by_use ON person (ring, bytes);

-- People by the beginning of their name.
CREATE INDEX person_by_name ON person (name COLLATE NOCASE) WHERE name IS NOT NULL;

-- Verified events in the order of time: `seq` is the second, then 16 bits that make the lower id the greater number (see
-- place.rs). So every range of time is a range of rows, and each index below ends in the order of a timeline.
CREATE TABLE event (
    seq    INTEGER PRIMARY KEY,
    id     BLOB    NOT NULL CHECK (length(id) = 32),
    author INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    class  INTEGER NOT NULL, -- 0: in no timeline, 1: note or repost, 2: reply
    media  INTEGER NOT NULL, -- 1: has media
    moved  INTEGER           -- created_at, when its place in that second was taken
) STRICT;

-- By id. Eight bytes tell all but made-up cases apart; the row tells for sure.
CREATE INDEX event_by_id ON event (substr(id, 1, 8));

-- One person's notes, and replies; home of people who write little.
CREATE INDEX event_by_author ON event (author, class);

-- Everybody's notes and reposts; home of people who write much.
CREATE INDEX event_listed ON event (class) WHERE class = 1;

-- One person's media.
CREATE INDEX event_media ON event (author) WHERE media = 1;

-- Signature, tags and content (codec.rs).
CREATE TABLE body (
    seq  INTEGER PRIMARY KEY,
    data BLOB    NOT NULL
) STRICT;

-- What events say about other events, which may be elsewhere: the first eight bytes of an id; type 1: reply to,
-- 2: in the thread of, 3: repost of, 4: quote of, 5: reaction to. `who` is the author where people are counted, else 0.
CREATE TABLE link (
    target BLOB    NOT NULL,
    type   INTEGER NOT NULL,
    who    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (target, type, who, seq)
) STRICT, WITHOUT ROWID;

-- The number of links of each type.
CREATE TABLE tally (
    target    BLOB    NOT NULL PRIMARY KEY,
    replies   INTEGER NOT NULL DEFAULT 0,
    thread    INTEGER NOT NULL DEFAULT 0,
    reposts   INTEGER NOT NULL DEFAULT 0,
    quotes    INTEGER NOT NULL DEFAULT 0,
    reactions INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Notes by hashtag.
CREATE TABLE hashtag (
    tag TEXT    NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;

-- Notes by their words (words.rs), by the same `seq`. Only the index: the words are made again when a note goes.
CREATE VIRTUAL TABLE word USING fts5 (
    text, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '#_'"
);

-- The stored follow lists, in their own order.
CREATE TABLE follow (
    follower INTEGER NOT NULL,
    position INTEGER NOT NULL,
    followed INTEGER NOT NULL,
    PRIMARY KEY (follower, position)
) STRICT, WITHOUT ROWID;

-- Who follows somebody.
CREATE INDEX follow_by_followed ON follow (followed, follower);

-- What concerns the person of this device; a new follower stands where their follow list first named the person.
CREATE TABLE notification (
    seq   INTEGER NOT NULL,
    who   INTEGER NOT NULL,
    cause INTEGER NOT NULL, -- store::Cause; 6: a follower by an earlier list only
    PRIMARY KEY (seq, who)
) STRICT, WITHOUT ROWID;

-- Notifications of one cause; the follower's only one.
CREATE INDEX notification_by_cause ON notification (cause, seq, who);
CREATE UNIQUE INDEX notification_of_follower ON notification (who) WHERE cause >= 5;

-- Events that end (NIP-40), by their last second.
CREATE TABLE expiry (
    at  INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (at, seq)
) STRICT, WITHOUT ROWID;

-- The latest version ever verified of each replaceable or addressable event, stored or deleted.
CREATE TABLE latest (
    author     INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    identifier TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    id         BLOB    NOT NULL CHECK (length(id) = 32),
    PRIMARY KEY (author, kind, identifier)
) STRICT, WITHOUT ROWID;

-- Whose versions of what are forgotten up to when (NIP-09, `a` tags).
CREATE TABLE forgotten (
    author     INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    identifier TEXT    NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (author, kind, identifier)
) STRICT, WITHOUT ROWID;

-- Who asked to forget everything up to when (NIP-62).
CREATE TABLE vanished (
    author INTEGER PRIMARY KEY,
    until  INTEGER NOT NULL
) STRICT;

-- Who asked to forget what. Binding for the author's own events only, which may arrive later.
CREATE TABLE tombstone (
    author INTEGER NOT NULL,
    target BLOB    NOT NULL CHECK (length(target) = 32),
    PRIMARY KEY (author, target)
) STRICT, WITHOUT ROWID;

-- Verified events that are not wanted again: deleted, superseded, dropped for space. Only to save fetching them: the
-- first eight bytes of the id, and no more than a bounded number.
CREATE TABLE gone (
    id BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What each kind takes.
CREATE TABLE kind_use (
    kind   INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    bytes  INTEGER NOT NULL
) STRICT;

-- How much of others' data is kept, where a person has chosen; NULL is unlimited.
CREATE TABLE budget (
    ring   INTEGER PRIMARY KEY,
    events INTEGER,
    bytes  INTEGER,
    age    INTEGER
) STRICT;

-- Space that is set free when the disk is full, so that what makes room and the person's own events can be written.
CREATE TABLE reserve (
    data BLOB NOT NULL
) STRICT;
