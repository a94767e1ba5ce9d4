DELETE FROM verifications WHERE purpose > 2;
ALTER TABLE verifications DROP CONSTRAINT verifications_purpose_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_purpose_check CHECK (purpose IN (1, 2));
