-- A database of schema version 1 as its broker left it when it was killed, written with ".dump". Of four messages one
-- was taken and one was damaged.
PRAGMA application_id = 0x73746278;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('epoch',3);
INSERT INTO meta VALUES('instance','985qa8vvcfxmqbpf41gt0dbg17');
INSERT INTO meta VALUES('next_destination',3);
INSERT INTO meta VALUES('uncertain_through',0);
CREATE TABLE destination (
    id         INTEGER PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('queue', 'topic')),
    name       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT;
INSERT INTO destination VALUES(1,'queue','orders',1795680180412);
INSERT INTO destination VALUES(2,'queue','audit',1795680180422);
CREATE TABLE body (
    id      INTEGER PRIMARY KEY,
    sent_ms INTEGER NOT NULL,
    crc     INTEGER NOT NULL,
    parts   INTEGER NOT NULL,
    head    BLOB    NOT NULL,
    body    BLOB    NOT NULL
) STRICT;
INSERT INTO body VALUES(1099511627777,1795680180412,1641897210,0,X'6b696e643a610a',X'6669727374');
INSERT INTO body VALUES(1099511627780,1795680180422,2931038177,0,X'',X'666f722074776f20717565756573');
CREATE TABLE body_part (
    id   INTEGER NOT NULL,
    n    INTEGER NOT NULL,
    data BLOB    NOT NULL,
    PRIMARY KEY (id, n)
) STRICT;
CREATE TABLE shared (
    body INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL
) STRICT;
INSERT INTO shared VALUES(1099511627780,2);
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
INSERT INTO entry VALUES(1,5,1099511627777,1099511627777,12,0,0,0,NULL);
INSERT INTO entry VALUES(1,5,1099511627780,1099511627780,14,4102444800000,0,0,NULL);
INSERT INTO entry VALUES(2,5,1099511627781,1099511627780,14,4102444800000,0,0,NULL);
CREATE TABLE tally (
    destination INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    PRIMARY KEY (destination, rank)
) STRICT, WITHOUT ROWID;
INSERT INTO tally VALUES(1,5,2,26,1099511627777,1099511627780);
INSERT INTO tally VALUES(2,5,1,14,1099511627781,1099511627781);
CREATE TABLE quarantine (
    id             INTEGER PRIMARY KEY,
    quarantined_ms INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    destination    INTEGER NOT NULL,
    rank           INTEGER NOT NULL,
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
INSERT INTO quarantine VALUES(1,1795680227049,'the checksum of head and body does not match',1,5,1099511627779,1099511627779,1795680180419,0,0,0,NULL,X'',X'00');
CREATE TABLE log (
    topic      INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    body       INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscription (
    id          INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL,
    identity    TEXT    NOT NULL UNIQUE,
    selector    TEXT,
    floor       INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;
CREATE TABLE subscription_exception (
    subscription INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    delayed_ms   INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_expiry ON entry (expires_ms) WHERE expires_ms > 0;
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
COMMIT;
