-- What a person's browser needs between two requests. Every id here is a digest; what is readable is sealed.

-- Who has signed in with a browser: one row per identity provider. The id is the digest of the session cookie.
CREATE TABLE browser_sessions (
    id                TEXT   NOT NULL,
    identity_provider TEXT   NOT NULL,
    principal         TEXT   NOT NULL,
    signed_in_at      BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    PRIMARY KEY (id, identity_provider)
);
CREATE INDEX browser_sessions_by_expiry ON browser_sessions (expires_at);

-- Authorization requests of clients, until they are answered. `browser` is the digest of the browser that took it up.
CREATE TABLE pending_authorizations (
    id         TEXT   NOT NULL PRIMARY KEY,
    browser    TEXT,
    request    TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pending_authorizations_by_expiry ON pending_authorizations (expires_at);

-- Sign-ins under way at an identity provider. The id is the digest of `state`.
CREATE TABLE sign_ins (
    id                TEXT   NOT NULL PRIMARY KEY,
    browser           TEXT   NOT NULL,
    identity_provider TEXT   NOT NULL,
    details           TEXT   NOT NULL,
    expires_at        BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

-- Which person has approved which client, to be sent where, for what.
CREATE TABLE consents (
    principal    TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL,
    route_uid    TEXT   NOT NULL,
    scope        TEXT   NOT NULL,
    approved_at  BIGINT NOT NULL,
    PRIMARY KEY (principal, client_id, redirect_uri, route_uid, scope)
);

-- Connect links. The id is the digest of the ticket.
CREATE TABLE connect_tickets (
    id         TEXT   NOT NULL PRIMARY KEY,
    principal  TEXT   NOT NULL,
    origin_uid TEXT   NOT NULL,
    route_uid  TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX connect_tickets_by_expiry ON connect_tickets (expires_at);
