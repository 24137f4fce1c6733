-- Assertions (RFC 7523) that were used: each counts once, at whichever replica.
CREATE TABLE used_assertions (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);
