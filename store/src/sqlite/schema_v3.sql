-- Schema version 3: messages that are to be delivered later.
-- Documented for users in docs/store.md: change both together.

-- One message for one destination; its body is one of body, which the row owns as an entry owns one.
CREATE TABLE schedule (
    id           INTEGER NOT NULL,
    due_ms       INTEGER NOT NULL,
    destination  INTEGER NOT NULL,
    rank         INTEGER NOT NULL,
    body         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    repeats_left INTEGER NOT NULL,
    text         TEXT    NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_due ON schedule (due_ms, id);
CREATE INDEX schedule_destination ON schedule (destination, due_ms, id);

-- What schedule holds, changed in the same commits.
CREATE TABLE schedule_tally (
    destination INTEGER PRIMARY KEY,
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL
) STRICT;

CREATE VIEW v_scheduled AS
SELECT d.kind AS kind,
       d.name AS name,
       (s.id >> 40) || '-' || (s.id & 0xFFFFFFFFFF) AS id,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.due_ms / 1000.0, 'unixepoch') AS due,
       s.text AS schedule,
       s.repeats_left AS repeats_left,
       'ID:' || (SELECT value FROM meta WHERE key = 'instance')
             || '-' || (s.body >> 40) || '-' || (s.body & 0xFFFFFFFFFF) AS message_id,
       9 - s.rank AS priority,
       CAST(b.head AS TEXT) AS headers,
       s.bytes - length(b.head) AS body_bytes,
       b.body AS body
FROM schedule s
JOIN destination d ON d.id = s.destination
LEFT JOIN body b ON b.id = s.body;
