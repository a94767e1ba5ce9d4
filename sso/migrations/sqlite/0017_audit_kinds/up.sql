-- Events of one kind by the page, however rare it is.
CREATE INDEX audit_events_kind ON audit_events (kind, id);
