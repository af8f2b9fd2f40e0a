-- Every job whose id is remembered, in the order of the appends. Small rows that keep their size when
-- they are settled, so that settling overwrites them in place.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,      -- 0 joins, 1 inbox, 2 outbox
    id BLOB NOT NULL,            -- 16 bytes
    key TEXT NOT NULL,
    position INTEGER,
    state INTEGER NOT NULL,      -- 0 open, 1 done, 2 dead
    attempts INTEGER NOT NULL,   -- deliveries that failed, since the last redrive
    not_before INTEGER,          -- milliseconds since 1970
    created_at INTEGER NOT NULL, -- milliseconds since 1970
    changed_at INTEGER NOT NULL  -- last change of state, milliseconds since 1970
) STRICT;

-- The only structure in random order: each append costs one page of it.
CREATE UNIQUE INDEX jobs_id ON jobs (id, queue);

-- Payloads of open and dead jobs. Whole pages become free as neighbours are settled.
CREATE TABLE payloads (
    seq INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

-- Failed attempts.
CREATE TABLE attempts (
    seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    class TEXT NOT NULL,
    code INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;

-- Dead letters, so that listing them does not walk all jobs.
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL
) STRICT;

-- Numbers that only rise.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
