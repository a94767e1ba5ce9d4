-- Whether it came by a sign-up, which proves nothing, and not proven already, by a change or an operator's word. It stays so once it is verified.
ALTER TABLE identifiers ADD COLUMN is_claim boolean NOT NULL DEFAULT true;
