-- What an origin has asked one person's account for beyond what it had (step-up), and what of it the last consent asked for. Goes with
-- the connection.
CREATE TABLE step_ups (
    principal_id TEXT   NOT NULL,
    origin_uid   TEXT   NOT NULL,
    origin_url   TEXT   NOT NULL, -- the origin's when it asked; good for no other
    wanted       TEXT   NOT NULL, -- scopes, separated by spaces
    asked        TEXT   NOT NULL, -- the same; empty until somebody has consented
    asked_at     BIGINT NOT NULL,
    PRIMARY KEY (principal_id, origin_uid)
);
