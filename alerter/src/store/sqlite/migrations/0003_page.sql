-- Computed from the body, so that no writer need know of them.
ALTER TABLE incidents ADD COLUMN failing_since TEXT
    GENERATED ALWAYS AS (json_extract(body, '$.failing_since')) VIRTUAL;
ALTER TABLE incidents ADD COLUMN ticket TEXT
    GENERATED ALWAYS AS (coalesce(json_extract(body, '$.ticket.remote'), json_extract(body, '$.ticket.key'))) VIRTUAL;

-- Everything that the page filters and groups by, in the order in which it lists.
DROP INDEX incidents_open;
CREATE INDEX incidents_list ON incidents (open, changed, institution, scenario, baseline, failing_since);
CREATE INDEX incidents_ticket ON incidents (ticket) WHERE ticket IS NOT NULL;
CREATE INDEX effects_state_changed ON effects (state, changed);
CREATE INDEX effects_action_changed ON effects (action, changed);
