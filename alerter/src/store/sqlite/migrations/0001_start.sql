CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The body is the whole incident as JSON; the columns are what is searched by.
CREATE TABLE incidents (
    reference   TEXT PRIMARY KEY,
    connection  TEXT NOT NULL,
    user        TEXT NOT NULL,
    institution TEXT NOT NULL,
    scenario    TEXT NOT NULL,
    open        INTEGER NOT NULL,
    baseline    INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    body        TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_changed ON incidents (changed);
CREATE INDEX incidents_open ON incidents (open, scenario);
CREATE INDEX incidents_connection ON incidents (connection);
CREATE INDEX incidents_user ON incidents (user);

-- The outbox. State and marks are the columns', the rest the body's.
CREATE TABLE effects (
    key     TEXT PRIMARY KEY,
    action  TEXT NOT NULL,
    channel TEXT NOT NULL,
    state   TEXT NOT NULL,
    marks   INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    body    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX effects_changed ON effects (changed);
CREATE INDEX effects_state ON effects (state, channel);

CREATE TABLE effect_incidents (
    incident TEXT NOT NULL,
    effect   TEXT NOT NULL,
    PRIMARY KEY (incident, effect)
) WITHOUT ROWID;

CREATE TABLE timeline (
    id       INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    at       INTEGER NOT NULL,
    effect   TEXT,
    what     TEXT NOT NULL,
    text     TEXT NOT NULL
);
CREATE INDEX timeline_incident ON timeline (incident, id);

-- What the planner keeps beside incidents and effects: demands, cooldowns, storms, holds, pauses.
CREATE TABLE planner (
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- What sources keep: the state of rules. Opaque here.
CREATE TABLE source_state (
    source TEXT NOT NULL,
    key    TEXT NOT NULL,
    body   BLOB NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;

CREATE TABLE tickets (
    key     TEXT PRIMARY KEY,
    desk    TEXT NOT NULL,
    remote  TEXT NOT NULL,
    created INTEGER NOT NULL
) WITHOUT ROWID;

-- Persons (keyed hashes of addresses) that a relay says do not exist.
CREATE TABLE suppressions (
    person TEXT PRIMARY KEY,
    code   TEXT NOT NULL,
    at     INTEGER NOT NULL
) WITHOUT ROWID;

-- What people asked for through the tools and the page, until the planner has taken it.
CREATE TABLE commands (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    body TEXT NOT NULL
);
