-- Small values that are replaced whole.
CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,  -- grows with every write
    changed_at INTEGER NOT NULL -- milliseconds since 1970
) STRICT, WITHOUT ROWID;

-- Those that are forgotten by their age: what Documents::SHORT_LIVED begins with.
CREATE INDEX documents_short_lived ON documents (changed_at) WHERE substr(name, 1, 1) = '~';
