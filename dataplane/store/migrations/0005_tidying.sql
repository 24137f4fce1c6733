-- What is deleted by its age is found by it.
CREATE INDEX IF NOT EXISTS grants_by_revocation ON grants (revoked_at);
CREATE INDEX IF NOT EXISTS refresh_tokens_by_use ON refresh_tokens (consumed_at);
CREATE INDEX IF NOT EXISTS late_sessions_by_opening ON late_sessions (opened_at);
