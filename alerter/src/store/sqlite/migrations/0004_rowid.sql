-- Rows with a body are larger than a page of a tree without rowid takes well: four to a page, also in the pages that
-- only lead to others, and one over a kilobyte is followed through its overflow pages by every search that passes it.
-- With a rowid the body stands apart from what is searched by, and new rows are appended.
ALTER TABLE incidents RENAME TO incidents_before;
CREATE TABLE incidents (
    id          INTEGER PRIMARY KEY,
    reference   TEXT NOT NULL UNIQUE,
    connection  TEXT NOT NULL,
    user        TEXT NOT NULL,
    institution TEXT NOT NULL,
    scenario    TEXT NOT NULL,
    open        INTEGER NOT NULL,
    baseline    INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    body        TEXT NOT NULL,
    -- Computed from the body, so that no writer need know of them.
    failing_since TEXT GENERATED ALWAYS AS (json_extract(body, '$.failing_since')) VIRTUAL,
    ticket TEXT
        GENERATED ALWAYS AS (coalesce(json_extract(body, '$.ticket.remote'), json_extract(body, '$.ticket.key'))) VIRTUAL
);
INSERT INTO incidents (reference, connection, user, institution, scenario, open, baseline, changed, body)
    SELECT reference, connection, user, institution, scenario, open, baseline, changed, body
    FROM incidents_before ORDER BY changed;
DROP TABLE incidents_before;
CREATE INDEX incidents_changed ON incidents (changed);
CREATE INDEX incidents_connection ON incidents (connection);
CREATE INDEX incidents_user ON incidents (user);
CREATE INDEX incidents_list ON incidents (open, changed, institution, scenario, baseline, failing_since);
CREATE INDEX incidents_ticket ON incidents (ticket) WHERE ticket IS NOT NULL;

ALTER TABLE effects RENAME TO effects_before;
CREATE TABLE effects (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    action  TEXT NOT NULL,
    channel TEXT NOT NULL,
    state   TEXT NOT NULL,
    marks   INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    spent   INTEGER NOT NULL DEFAULT 0,
    body    TEXT NOT NULL
);
INSERT INTO effects (key, action, channel, state, marks, due, changed, spent, body)
    SELECT key, action, channel, state, marks, due, changed, spent, body FROM effects_before ORDER BY changed;
DROP TABLE effects_before;
-- Each of these is written with every change of a state: no more of them than are read.
CREATE INDEX effects_changed ON effects (changed, spent);
CREATE INDEX effects_state_changed ON effects (state, changed, channel, due);
CREATE INDEX effects_action_changed ON effects (action, changed);

-- How many effects there are of a channel in a state, kept by the table itself: nobody counts them anew.
CREATE TABLE effect_counts (
    channel TEXT NOT NULL,
    state   TEXT NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (channel, state)
) WITHOUT ROWID;
INSERT INTO effect_counts SELECT channel, state, count(*) FROM effects GROUP BY 1, 2;
CREATE TRIGGER effects_added AFTER INSERT ON effects BEGIN
    INSERT INTO effect_counts VALUES (new.channel, new.state, 1)
        ON CONFLICT (channel, state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER effects_moved AFTER UPDATE OF state, channel ON effects
WHEN old.state <> new.state OR old.channel <> new.channel BEGIN
    UPDATE effect_counts SET number = number - 1 WHERE channel = old.channel AND state = old.state;
    INSERT INTO effect_counts VALUES (new.channel, new.state, 1)
        ON CONFLICT (channel, state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER effects_gone AFTER DELETE ON effects BEGIN
    UPDATE effect_counts SET number = number - 1 WHERE channel = old.channel AND state = old.state;
END;

ALTER TABLE planner RENAME TO planner_before;
CREATE TABLE planner (
    id   INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, key)
);
INSERT INTO planner (kind, key, body) SELECT kind, key, body FROM planner_before;
DROP TABLE planner_before;

ALTER TABLE source_state RENAME TO source_state_before;
CREATE TABLE source_state (
    id     INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    key    TEXT NOT NULL,
    body   BLOB NOT NULL,
    UNIQUE (source, key)
);
INSERT INTO source_state (source, key, body) SELECT source, key, body FROM source_state_before;
DROP TABLE source_state_before;
