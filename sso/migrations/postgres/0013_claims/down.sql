ALTER TABLE identifiers DROP COLUMN is_claim;
