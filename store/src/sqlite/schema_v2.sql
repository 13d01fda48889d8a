-- Schema version 2: a topic's log and its durable subscriptions. Version 1 had tables for them that it did not use.
-- Documented for users in docs/store.md: change both together.

-- A tag is the broker's: the message's priority, and 16 more when it was not sent as persistent.
DROP TABLE log;
CREATE TABLE log (
    topic      INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    body       INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    tag        INTEGER NOT NULL,
    PRIMARY KEY (topic, sequence)
) STRICT, WITHOUT ROWID;

-- What log holds, changed in the same commits.
CREATE TABLE log_tally (
    topic INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;

-- Rows at or below the floor, or of a subscription that is gone, mean nothing: they are removed in slices.
DROP TABLE subscription_exception;
CREATE TABLE subscription_exception (
    subscription INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) STRICT, WITHOUT ROWID;

-- Log rows go there as well, and have no rank. Copied and not renamed: that would rewrite what a user built on it.
CREATE TABLE quarantine_v1 AS SELECT * FROM quarantine;
DROP TABLE quarantine;
CREATE TABLE quarantine (
    id             INTEGER PRIMARY KEY,
    quarantined_ms INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    destination    INTEGER NOT NULL,
    rank           INTEGER,
    sequence       INTEGER NOT NULL,
    message        INTEGER NOT NULL,
    sent_ms        INTEGER,
    expires_ms     INTEGER NOT NULL,
    deliveries     INTEGER NOT NULL,
    failures       INTEGER NOT NULL,
    annotations    BLOB,
    head           BLOB,
    body           BLOB
) STRICT;
INSERT INTO quarantine SELECT * FROM quarantine_v1;
DROP TABLE quarantine_v1;

-- pending counts when it is asked for, and knows nothing of selectors.
CREATE VIEW v_subscription AS
SELECT d.name AS topic,
       s.identity AS identity,
       s.selector AS selector,
       s.floor AS floor,
       (SELECT count(*) FROM log l
        WHERE l.topic = s.destination AND l.sequence > s.floor
          AND NOT EXISTS (SELECT 1 FROM subscription_exception x
                          WHERE x.subscription = s.id AND x.sequence = l.sequence AND x.acknowledged)) AS pending,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.created_ms / 1000.0, 'unixepoch') AS created
FROM subscription s
JOIN destination d ON d.id = s.destination;
