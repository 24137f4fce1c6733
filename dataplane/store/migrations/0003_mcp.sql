-- What origins have been seen to offer: definitions only, never a user's data.
CREATE TABLE origin_catalogs (
    origin_uid  TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    observed_at BIGINT  NOT NULL,
    PRIMARY KEY (origin_uid, kind)
);

-- Sessions that a client opened before its user had connected an account: which session of the origin's each became.
CREATE TABLE late_sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    origin_session TEXT   NOT NULL,
    opened_at      BIGINT NOT NULL
);
