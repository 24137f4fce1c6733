-- A person's account at their identity provider: by which `sub` it is known there (a digest), and the refresh token that it gave, sealed.
CREATE TABLE provider_accounts (
    principal         TEXT   NOT NULL PRIMARY KEY,
    identity_provider TEXT   NOT NULL,
    subject           TEXT   NOT NULL,
    sealed            TEXT,            -- absent: it gave none, or does not honour it any more
    provider_session  TEXT,            -- in which session of the provider's that was
    renewed_at        BIGINT NOT NULL, -- when the provider last spoke of the person
    revision          TEXT   NOT NULL,
    leased_until      BIGINT NOT NULL
);
CREATE INDEX provider_accounts_by_subject ON provider_accounts (subject);
CREATE INDEX provider_accounts_by_sealing ON provider_accounts (substr(sealed, 1, 7)); -- by key, as 0014 has it
CREATE INDEX provider_accounts_by_time ON provider_accounts (renewed_at);

-- In which session of the identity provider's (a digest of its `sid`) something was begun. Absent where the provider names none, and in
-- what the version before writes.
ALTER TABLE browser_sessions ADD COLUMN provider_session TEXT;
ALTER TABLE codes ADD COLUMN provider_session TEXT;
ALTER TABLE grants ADD COLUMN provider_session TEXT;
CREATE INDEX IF NOT EXISTS browser_sessions_by_provider_session ON browser_sessions (provider_session);
CREATE INDEX IF NOT EXISTS grants_by_provider_session ON grants (provider_session);
