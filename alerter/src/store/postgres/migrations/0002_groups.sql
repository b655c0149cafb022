-- Every list, filter and count of the page finds its rows in one index, however many the filter passes over.
DROP INDEX incidents_changed;
DROP INDEX effects_changed;
DROP INDEX effects_state_changed;
DROP INDEX effects_action_changed;
CREATE INDEX incidents_changed ON incidents (changed, institution, scenario, failing);
CREATE INDEX incidents_groups ON incidents (scenario, institution, baseline, failing) WHERE open;
CREATE INDEX effects_changed ON effects (changed, channel);
CREATE INDEX effects_state_changed ON effects (state, changed, channel);
CREATE INDEX effects_action_changed ON effects (action, changed, channel);
CREATE INDEX effects_action_state ON effects (action, state, changed, channel);
