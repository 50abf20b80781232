-- What requests have written, for a while: one that is asked again is answered, and not carried out again.
CREATE TABLE request (
    key   BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    event BLOB    NOT NULL CHECK (length(event) = 32),
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_age ON request (at);
