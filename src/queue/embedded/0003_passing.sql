-- Documents that hold what somebody wrote, for as long as they do: those of no long life alone. Written anew
-- with the payloads, so that nothing is left of what was taken out of them. A name is here or in documents.
CREATE TABLE passing (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,  -- as in documents
    changed_at INTEGER NOT NULL -- milliseconds since 1970
) STRICT;

-- For those that are forgotten by their age.
CREATE INDEX passing_age ON passing (changed_at);
