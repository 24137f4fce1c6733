-- To which issuer, and which claim of it, the name of an identity provider is bound. The name is part of every user's identity.
CREATE TABLE provider_issuers (
    name          TEXT   NOT NULL PRIMARY KEY,
    issuer        TEXT   NOT NULL,
    subject_claim TEXT   NOT NULL,
    bound_at      BIGINT NOT NULL
);
