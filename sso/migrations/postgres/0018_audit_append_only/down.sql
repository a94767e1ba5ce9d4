DROP TRIGGER audit_events_append_only ON audit_events;
DROP FUNCTION audit_events_append_only();
CREATE RULE audit_events_append_only AS ON UPDATE TO audit_events DO INSTEAD NOTHING;
