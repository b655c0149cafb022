-- Computed columns are computed from the whole body at each write, whatever of it changed. NULL where an earlier version
-- wrote the row since; it is found again at its next change.
DROP INDEX incidents_ticket;
ALTER TABLE incidents DROP COLUMN ticket;
ALTER TABLE incidents DROP COLUMN failing_since;
ALTER TABLE incidents ADD COLUMN ticket TEXT;
UPDATE incidents SET ticket = coalesce(json_extract(body, '$.ticket.remote'), json_extract(body, '$.ticket.key'));
CREATE INDEX incidents_ticket ON incidents (ticket) WHERE ticket IS NOT NULL;
