-- Since when the oldest of what is owed to a carrier is owed.
CREATE INDEX deliveries_owed ON deliveries (target, created_at);
