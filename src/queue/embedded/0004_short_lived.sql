-- Some files of format 2 were made before it had this index.
CREATE INDEX IF NOT EXISTS documents_short_lived ON documents (changed_at) WHERE substr(name, 1, 1) = '~';
