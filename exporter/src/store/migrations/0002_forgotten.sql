-- Users that must not come back: keyed hashes, which name nobody.
CREATE TABLE forgotten (hash BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
