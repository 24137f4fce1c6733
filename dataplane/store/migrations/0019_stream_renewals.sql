-- When an identity provider was last asked because of a person's open streams. One replica claims this, so that the provider is asked once.
ALTER TABLE provider_accounts ADD COLUMN asked_at BIGINT;
