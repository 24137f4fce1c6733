-- What people and administrators look at, and end many of at once: by whom, by which client, on which route, at which origin. Client ids and
-- subjects are strangers' words of any length, which PostgreSQL could not index; what is sought by those is rare and may be a scan.
CREATE INDEX IF NOT EXISTS grants_by_route ON grants (route_uid);
CREATE INDEX IF NOT EXISTS connections_by_origin ON connections (origin_uid);
CREATE INDEX IF NOT EXISTS consents_by_client ON consents (client_id);
CREATE INDEX IF NOT EXISTS browser_sessions_by_principal ON browser_sessions (principal);

-- When a call last went out with it, to the hour. Missing where no version that notes it has used it.
ALTER TABLE connections ADD COLUMN last_used_at BIGINT;
