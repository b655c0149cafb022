CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- The body is the whole incident as JSON; the columns are what is searched by.
CREATE TABLE incidents (
    reference   TEXT PRIMARY KEY,
    connection  TEXT NOT NULL,
    "user"      TEXT NOT NULL,
    institution TEXT NOT NULL,
    scenario    TEXT NOT NULL,
    open        BOOLEAN NOT NULL,
    baseline    BOOLEAN NOT NULL,
    failing     BIGINT NOT NULL,
    ticket      TEXT,
    changed     BIGINT NOT NULL,
    body        TEXT NOT NULL
);
CREATE INDEX incidents_changed ON incidents (changed);
CREATE INDEX incidents_list ON incidents (open, changed, institution, scenario, baseline, failing);
CREATE INDEX incidents_ticket ON incidents (ticket) WHERE ticket IS NOT NULL;
CREATE INDEX incidents_connection ON incidents (connection);
CREATE INDEX incidents_user ON incidents ("user");

-- The outbox. State and marks are the columns', the rest the body's. The owner is the replica that took it up;
-- of what is being attempted without an owner, the outcome stands in `signals`.
CREATE TABLE effects (
    key          TEXT PRIMARY KEY,
    action       TEXT NOT NULL,
    channel      TEXT NOT NULL,
    state        TEXT NOT NULL,
    marks        BIGINT NOT NULL,
    due          BIGINT NOT NULL,
    next_attempt BIGINT NOT NULL,
    changed      BIGINT NOT NULL,
    owner        TEXT,
    spent        BOOLEAN NOT NULL DEFAULT FALSE,
    body         TEXT NOT NULL
);
CREATE INDEX effects_changed ON effects (changed);
CREATE INDEX effects_state ON effects (state, channel);
CREATE INDEX effects_state_changed ON effects (state, changed);
CREATE INDEX effects_action_changed ON effects (action, changed);
CREATE INDEX effects_waiting ON effects (channel, next_attempt)
    WHERE owner IS NULL AND state IN ('planned', 'deferred', 'unknown');
CREATE INDEX effects_owned ON effects (owner) WHERE owner IS NOT NULL;

CREATE TABLE effect_incidents (
    incident TEXT NOT NULL,
    effect   TEXT NOT NULL,
    PRIMARY KEY (incident, effect)
);

CREATE TABLE timeline (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident TEXT NOT NULL,
    at       BIGINT NOT NULL,
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
);

-- What sources keep: the state of rules. Opaque here.
CREATE TABLE source_state (
    source TEXT NOT NULL,
    key    TEXT NOT NULL,
    body   BYTEA NOT NULL,
    PRIMARY KEY (source, key)
);

CREATE TABLE tickets (
    key     TEXT PRIMARY KEY,
    desk    TEXT NOT NULL,
    remote  TEXT NOT NULL,
    created BIGINT NOT NULL
);

-- Persons (keyed hashes of addresses) that a relay says do not exist.
CREATE TABLE suppressions (
    person TEXT PRIMARY KEY,
    code   TEXT NOT NULL,
    at     BIGINT NOT NULL
);

-- What people asked for through the tools and the page, until the planner has taken it.
CREATE TABLE commands (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at   BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- What replicas report of what they delivered, until the planner has taken it.
CREATE TABLE signals (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body TEXT NOT NULL
);

-- Processes that deliver, by the database's clock.
CREATE TABLE replicas (
    id   TEXT PRIMARY KEY,
    seen TIMESTAMPTZ NOT NULL
);

-- Who plans. The epoch changes with each holder; every commit names its own.
CREATE TABLE leader (
    one     BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    holder  TEXT,
    epoch   BIGINT NOT NULL,
    renewed TIMESTAMPTZ NOT NULL
);
INSERT INTO leader (holder, epoch, renewed) VALUES (NULL, 0, now());
