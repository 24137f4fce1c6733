-- One person's link to one origin, and what it is bound to. Tokens lie in `sealed`, bound to person, origin and issuer.
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
    connected_at        BIGINT NOT NULL,
    PRIMARY KEY (principal_id, origin_uid)
);

-- The gateway as a dynamically registered client (RFC 7591) of an origin's authorization server.
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

-- A consent under way at an origin's authorization server, found by the digest of its `state`.
CREATE TABLE connect_flows (
    state_digest TEXT   NOT NULL PRIMARY KEY,
    principal_id TEXT   NOT NULL,
    origin_uid   TEXT   NOT NULL,
    browser      TEXT   NOT NULL,
    sealed       TEXT   NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE INDEX connect_flows_by_expiry ON connect_flows (expires_at);
