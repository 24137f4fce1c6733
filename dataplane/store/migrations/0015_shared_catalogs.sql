-- What origins offer and every user may see, and why every user may. This table replaces origin_catalogs, which does not tell whose account
-- showed an entry. The versions before continue to write there until they are gone.
CREATE TABLE shared_catalogs (
    origin_uid  TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    origin_url  TEXT    NOT NULL,
    basis       TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    observed_at BIGINT  NOT NULL,
    PRIMARY KEY (origin_uid, kind)
);
DELETE FROM origin_catalogs;
