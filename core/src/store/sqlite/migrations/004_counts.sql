-- What is counted of an event stands in its own row, so that a timeline reads one page of the file less for each note.
-- `tally` keeps the counts of events that are not here.
ALTER TABLE event ADD COLUMN replies   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN thread    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN reposts   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN quotes    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN reactions INTEGER NOT NULL DEFAULT 0;

UPDATE event SET replies = t.replies, thread = t.thread, reposts = t.reposts, quotes = t.quotes, reactions = t.reactions
    FROM tally t WHERE substr(event.id, 1, 8) = t.target;
DELETE FROM tally WHERE EXISTS (SELECT 1 FROM event WHERE substr(id, 1, 8) = target);

-- Everybody's notes and reposts, with their authors: home looks through them without reading the rows.
DROP INDEX event_listed;
CREATE INDEX event_listed ON event (seq, author) WHERE class = 1;
