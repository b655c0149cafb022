-- Since when it fails, in milliseconds. Computed columns cannot be read from an index alone, so that each count by age
-- read every incident. NULL where an earlier version wrote the row since; it is dated at its next change.
ALTER TABLE incidents ADD COLUMN failing INTEGER;
UPDATE incidents SET failing = CAST(round((julianday(json_extract(body, '$.failing_since')) - 2440587.5) * 86400000) AS INTEGER);

-- Every list, filter and count of the page finds its rows in one index alone, however many the filter passes over.
DROP INDEX incidents_list;
DROP INDEX incidents_changed;
DROP INDEX effects_changed;
DROP INDEX effects_action_changed;
CREATE INDEX incidents_list ON incidents (open, changed, institution, scenario, failing);
CREATE INDEX incidents_changed ON incidents (changed, institution, scenario, failing);
CREATE INDEX incidents_groups ON incidents (open, scenario, institution, baseline, failing);
CREATE INDEX effects_changed ON effects (changed, spent, channel);
CREATE INDEX effects_action_changed ON effects (action, changed, state, channel);
