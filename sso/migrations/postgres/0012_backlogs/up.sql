-- Since when the oldest of what is owed to a target is owed, and what of it is parked, in the order of a retry.
CREATE INDEX provisioning_owed ON provisioning (target, created_at);
CREATE INDEX provisioning_parked ON provisioning (target, id) WHERE due_at IS NULL;
CREATE INDEX notices_owed ON notices (target, created_at);
