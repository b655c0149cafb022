-- The ledger. What is stored together changes together: users in pages, labels one by one.
CREATE TABLE facts (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE names (list TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (list, place))
    STRICT, WITHOUT ROWID;
CREATE TABLE counters (label BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE durations (label BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pages (page INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
