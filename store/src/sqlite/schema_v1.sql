-- Schema version 1. Times are milliseconds since 1970 (UTC); 0 in expires_ms is never.
-- Documented for users in docs/store.md: change both together.

-- instance, epoch, clean, uncertain_through, next_destination.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE destination (
    id         INTEGER PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('queue', 'topic')),
    name       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- One row a message, however many entries and logs refer to it. The id grows, so rows are appended at the right edge.
-- parts = 0: the body stands here. Otherwise it stands in so many rows of body_part and is empty here.
CREATE TABLE body (
    id      INTEGER PRIMARY KEY,
    sent_ms INTEGER NOT NULL,
    crc     INTEGER NOT NULL,
    parts   INTEGER NOT NULL,
    head    BLOB    NOT NULL,
    body    BLOB    NOT NULL
) STRICT;

CREATE TABLE body_part (
    id   INTEGER NOT NULL,
    n    INTEGER NOT NULL,
    data BLOB    NOT NULL,
    PRIMARY KEY (id, n)
) STRICT;

-- Bodies with more than one owner, be it an entry or a log row. A body without a row here has exactly one.
CREATE TABLE shared (
    body INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL
) STRICT;

-- One message in one queue, in delivery order. Small rows: bodies would make this tree deep and its splits dear.
CREATE TABLE entry (
    destination INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    body        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL,
    deliveries  INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    annotations BLOB,
    PRIMARY KEY (destination, rank, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX entry_expiry ON entry (expires_ms) WHERE expires_ms > 0;

-- What entry holds, changed in the same commits: a start and the views count nothing.
CREATE TABLE tally (
    destination INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    PRIMARY KEY (destination, rank)
) STRICT, WITHOUT ROWID;

-- Entries and log rows whose body could not be trusted, with whatever could still be read. A log has no rank.
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

-- Durable topic subscriptions: a topic's messages once, a subscription as a floor and what departs from it.
CREATE TABLE log (
    topic      INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    body       INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
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

CREATE TABLE subscription (
    id          INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    identity    TEXT    NOT NULL UNIQUE,
    selector    TEXT,
    floor       INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;

-- Rows at or below the floor, or of a subscription that is gone, mean nothing: they are removed in slices.
CREATE TABLE subscription_exception (
    subscription INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) STRICT, WITHOUT ROWID;

CREATE VIEW v_queue AS
SELECT d.name AS name,
       coalesce(sum(t.count), 0) AS depth,
       coalesce(sum(t.bytes), 0) AS bytes,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(b.sent_ms) / 1000.0, 'unixepoch') AS oldest,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.created_ms / 1000.0, 'unixepoch') AS created
FROM destination d
LEFT JOIN tally t ON t.destination = d.id
LEFT JOIN entry e ON e.destination = t.destination AND e.rank = t.rank AND e.sequence = t.first
LEFT JOIN body b ON b.id = e.body
WHERE d.kind = 'queue'
GROUP BY d.id;

CREATE VIEW v_message AS
SELECT d.name AS queue,
       'ID:' || (SELECT value FROM meta WHERE key = 'instance')
             || '-' || (e.body >> 40) || '-' || (e.body & 0xFFFFFFFFFF) AS message_id,
       9 - e.rank AS priority,
       e.sequence AS sequence,
       strftime('%Y-%m-%dT%H:%M:%fZ', b.sent_ms / 1000.0, 'unixepoch') AS sent,
       CASE WHEN e.expires_ms > 0
            THEN strftime('%Y-%m-%dT%H:%M:%fZ', e.expires_ms / 1000.0, 'unixepoch') END AS expires,
       e.deliveries AS deliveries,
       e.failures AS failures,
       CAST(b.head AS TEXT) AS headers,
       CAST(e.annotations AS TEXT) AS annotations,
       e.bytes - length(b.head) AS body_bytes,
       b.body AS body
FROM entry e
JOIN destination d ON d.id = e.destination
LEFT JOIN body b ON b.id = e.body;

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
