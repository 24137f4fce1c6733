-- Who signed in, as their identity provider last described them.
CREATE TABLE principals (
    id                TEXT   NOT NULL PRIMARY KEY,
    identity_provider TEXT   NOT NULL,
    subject           TEXT   NOT NULL,
    email             TEXT,
    display_name      TEXT,
    group_names       TEXT   NOT NULL, -- JSON array
    described_at      BIGINT NOT NULL
);

-- OAuth clients that registered dynamically.
CREATE TABLE clients (
    id            TEXT   NOT NULL PRIMARY KEY,
    secret_digest TEXT,               -- absent: a public client
    metadata      TEXT   NOT NULL,    -- JSON
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL
);
CREATE INDEX clients_by_use ON clients (last_used_at);

-- Authorization codes. A redeemed one is kept for a while: that it comes again is how theft shows.
CREATE TABLE codes (
    digest         TEXT   NOT NULL PRIMARY KEY,
    principal      TEXT   NOT NULL,
    client_id      TEXT   NOT NULL,
    client_name    TEXT   NOT NULL,
    issuer         TEXT   NOT NULL,
    route_uid      TEXT   NOT NULL,
    resource       TEXT   NOT NULL,
    redirect_uri   TEXT   NOT NULL,
    code_challenge TEXT   NOT NULL,
    scope          TEXT   NOT NULL,
    expires_at     BIGINT NOT NULL,
    consumed_at    BIGINT,
    grant_id       TEXT                -- what it was redeemed for
);
CREATE INDEX codes_by_expiry ON codes (expires_at);

-- What a client may do on a person's behalf. Bound to the route's UID: a slug that is used again inherits nothing.
CREATE TABLE grants (
    id          TEXT   NOT NULL PRIMARY KEY,
    principal   TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    client_name TEXT   NOT NULL,
    issuer      TEXT   NOT NULL,
    route_uid   TEXT   NOT NULL,
    resource    TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX grants_by_principal ON grants (principal);
CREATE INDEX grants_by_expiry ON grants (expires_at);

-- A grant's family of refresh tokens.
CREATE TABLE refresh_tokens (
    digest      TEXT   NOT NULL PRIMARY KEY,
    grant_id    TEXT   NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    predecessor TEXT,                  -- digest of the one that it was given for
    issued_at   BIGINT NOT NULL,
    consumed_at BIGINT
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_by_predecessor ON refresh_tokens (predecessor);

-- What every replica must hear of at once: grants that were revoked, people who are described anew.
CREATE TABLE identity_changes (
    kind       TEXT   NOT NULL,        -- 'grant' or 'principal'
    subject    TEXT   NOT NULL,        -- its id
    changed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,        -- nobody needs to hear of it after this
    PRIMARY KEY (kind, subject)
);
CREATE INDEX identity_changes_by_time ON identity_changes (changed_at);
