-- Schema version 4: ids by which repeated messages are known.
-- Documented for users in docs/store.md: change both together.

-- The last ones of each destination. Positions are dense, and ascend in the order in which the messages came.
CREATE TABLE duplicate (
    destination INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    id          BLOB    NOT NULL,
    PRIMARY KEY (destination, position)
) STRICT, WITHOUT ROWID;
