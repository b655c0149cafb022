-- Whether the variables of an effect were erased.
ALTER TABLE effects ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;
CREATE INDEX effects_unspent ON effects (changed) WHERE spent = 0;
