DROP INDEX audit_events_kind;
