-- Small values that are replaced whole.
CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,  -- grows with every write
    changed_at INTEGER NOT NULL -- milliseconds since 1970
) STRICT, WITHOUT ROWID;
