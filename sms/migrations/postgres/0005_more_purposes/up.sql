-- What a code may be for is the contract's to say: one more needs no migration any longer.
ALTER TABLE verifications DROP CONSTRAINT verifications_purpose_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_purpose_check CHECK (purpose > 0);
