-- The batch that was committed last: one whose commit had no answer is not committed again.
ALTER TABLE leader ADD COLUMN committed BIGINT;
