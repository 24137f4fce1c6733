CREATE TABLE browser_sessions (
    id                TEXT   NOT NULL,
    identity_provider TEXT   NOT NULL,
    principal         TEXT   NOT NULL,
    signed_in_at      BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL, provider_session TEXT,
    PRIMARY KEY (id, identity_provider)
);

CREATE INDEX browser_sessions_by_expiry ON browser_sessions (expires_at);

CREATE INDEX browser_sessions_by_principal ON browser_sessions (principal);

CREATE INDEX browser_sessions_by_provider_session ON browser_sessions (provider_session);

CREATE TABLE clients (
    id            TEXT   NOT NULL PRIMARY KEY,
    secret_digest TEXT,               -- absent: a public client
    metadata      TEXT   NOT NULL,    -- JSON
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL
, registered_from TEXT);

CREATE INDEX clients_by_use ON clients (last_used_at);

CREATE INDEX clients_without_grant ON clients (registered_from, last_used_at) WHERE registered_from IS NOT NULL;

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
, provider_session TEXT);

CREATE INDEX codes_by_expiry ON codes (expires_at);

CREATE TABLE connect_flows (
    state_digest TEXT   NOT NULL PRIMARY KEY,
    principal_id TEXT   NOT NULL,
    origin_uid   TEXT   NOT NULL,
    browser      TEXT   NOT NULL,
    sealed       TEXT   NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE INDEX connect_flows_by_expiry ON connect_flows (expires_at);

CREATE TABLE connect_tickets (
    id         TEXT   NOT NULL PRIMARY KEY,
    principal  TEXT   NOT NULL,
    origin_uid TEXT   NOT NULL,
    route_uid  TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);

CREATE INDEX connect_tickets_by_expiry ON connect_tickets (expires_at);

CREATE TABLE connections (
    principal_id        TEXT   NOT NULL,
    origin_uid          TEXT   NOT NULL,
    origin_url          TEXT   NOT NULL,
    resource            TEXT   NOT NULL,
    issuer              TEXT   NOT NULL,
    token_endpoint      TEXT   NOT NULL,
    revocation_endpoint TEXT,
    client_id           TEXT   NOT NULL,
    registration        TEXT   NOT NULL,
    auth_method         TEXT   NOT NULL,
    scope               TEXT   NOT NULL,
    sealed              TEXT   NOT NULL,
    issued_at           BIGINT NOT NULL,
    expires_at          BIGINT,
    dead                BIGINT NOT NULL,
    revision            TEXT   NOT NULL,
    leased_until        BIGINT NOT NULL,
    connected_at        BIGINT NOT NULL, last_used_at BIGINT,
    PRIMARY KEY (principal_id, origin_uid)
);

CREATE INDEX connections_by_origin ON connections (origin_uid);

CREATE INDEX connections_by_sealing ON connections (substr(sealed, 1, 7));

CREATE TABLE consents (
    principal    TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL,
    route_uid    TEXT   NOT NULL,
    scope        TEXT   NOT NULL,
    approved_at  BIGINT NOT NULL,
    PRIMARY KEY (principal, client_id, redirect_uri, route_uid, scope)
);

CREATE INDEX consents_by_client ON consents (client_id);

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
, provider_session TEXT);

CREATE INDEX grants_by_client ON grants (substr(client_id, 1, 64));

CREATE INDEX grants_by_expiry ON grants (expires_at);

CREATE INDEX grants_by_principal ON grants (principal);

CREATE INDEX grants_by_provider_session ON grants (provider_session);

CREATE INDEX grants_by_revocation ON grants (revoked_at);

CREATE INDEX grants_by_route ON grants (route_uid);

CREATE TABLE identity_changes (
    kind       TEXT   NOT NULL,        -- 'grant' or 'principal'
    subject    TEXT   NOT NULL,        -- its id
    changed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,        -- nobody needs to hear of it after this
    PRIMARY KEY (kind, subject)
);

CREATE INDEX identity_changes_by_time ON identity_changes (changed_at);

CREATE TABLE late_sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    origin_session TEXT   NOT NULL,
    opened_at      BIGINT NOT NULL
);

CREATE INDEX late_sessions_by_opening ON late_sessions (opened_at);

CREATE TABLE origin_catalogs (
    origin_uid  TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    observed_at BIGINT  NOT NULL, origin_url TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (origin_uid, kind)
);

CREATE TABLE origin_clients (
    origin_uid        TEXT   NOT NULL,
    issuer            TEXT   NOT NULL,
    redirect_uri      TEXT   NOT NULL,
    client_id         TEXT   NOT NULL,
    sealed_secret     TEXT,
    auth_method       TEXT   NOT NULL,
    secret_expires_at BIGINT,
    registered_at     BIGINT NOT NULL,
    PRIMARY KEY (origin_uid, issuer, redirect_uri)
);

CREATE INDEX origin_clients_by_sealing ON origin_clients (substr(sealed_secret, 1, 7));

CREATE TABLE pending_authorizations (
    id         TEXT   NOT NULL PRIMARY KEY,
    browser    TEXT,
    request    TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX pending_authorizations_by_expiry ON pending_authorizations (expires_at);

CREATE TABLE principals (
    id                TEXT   NOT NULL PRIMARY KEY,
    identity_provider TEXT   NOT NULL,
    subject           TEXT   NOT NULL,
    email             TEXT,
    display_name      TEXT,
    group_names       TEXT   NOT NULL, -- JSON array
    described_at      BIGINT NOT NULL
);

CREATE TABLE provider_accounts (
    principal         TEXT   NOT NULL PRIMARY KEY,
    identity_provider TEXT   NOT NULL,
    subject           TEXT   NOT NULL,
    sealed            TEXT,            -- absent: it gave none, or does not honour it any more
    provider_session  TEXT,            -- in which session of the provider's that was
    renewed_at        BIGINT NOT NULL, -- when the provider last spoke of the person
    revision          TEXT   NOT NULL,
    leased_until      BIGINT NOT NULL
, asked_at BIGINT);

CREATE INDEX provider_accounts_by_sealing ON provider_accounts (substr(sealed, 1, 7));

CREATE INDEX provider_accounts_by_subject ON provider_accounts (subject);

CREATE INDEX provider_accounts_by_time ON provider_accounts (renewed_at);

CREATE TABLE provider_issuers (
    name          TEXT   NOT NULL PRIMARY KEY,
    issuer        TEXT   NOT NULL,
    subject_claim TEXT   NOT NULL,
    bound_at      BIGINT NOT NULL
);

CREATE TABLE published_serials (
    object  TEXT   NOT NULL PRIMARY KEY, -- name of the Kubernetes object
    serial  BIGINT NOT NULL,
    hash    TEXT   NOT NULL,             -- of the document with this serial
    removed BIGINT NOT NULL              -- 1: the object was removed after that
);

CREATE TABLE refresh_tokens (
    digest      TEXT   NOT NULL PRIMARY KEY,
    grant_id    TEXT   NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    predecessor TEXT,                  -- digest of the one that it was given for
    issued_at   BIGINT NOT NULL,
    consumed_at BIGINT
);

CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);

CREATE INDEX refresh_tokens_by_predecessor ON refresh_tokens (predecessor);

CREATE INDEX refresh_tokens_by_use ON refresh_tokens (consumed_at);

CREATE TABLE shared_catalogs (
    origin_uid  TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    origin_url  TEXT    NOT NULL,
    basis       TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    observed_at BIGINT  NOT NULL,
    PRIMARY KEY (origin_uid, kind)
);

CREATE TABLE sign_ins (
    id                TEXT   NOT NULL PRIMARY KEY,
    browser           TEXT   NOT NULL,
    identity_provider TEXT   NOT NULL,
    details           TEXT   NOT NULL,
    expires_at        BIGINT NOT NULL
);

CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

CREATE TABLE step_ups (
    principal_id TEXT   NOT NULL,
    origin_uid   TEXT   NOT NULL,
    origin_url   TEXT   NOT NULL, -- the origin's when it asked; good for no other
    wanted       TEXT   NOT NULL, -- scopes, separated by spaces
    asked        TEXT   NOT NULL, -- the same; empty until somebody has consented
    asked_at     BIGINT NOT NULL,
    PRIMARY KEY (principal_id, origin_uid)
);

CREATE TABLE used_assertions (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);
