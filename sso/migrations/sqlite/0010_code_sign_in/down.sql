DELETE FROM resets WHERE purpose <> 2;
ALTER TABLE resets DROP COLUMN purpose;
