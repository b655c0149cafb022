-- A digest of the last report that a replica has written down: one whose commit had no answer is not written down
-- again.
ALTER TABLE replicas ADD COLUMN said TEXT;
