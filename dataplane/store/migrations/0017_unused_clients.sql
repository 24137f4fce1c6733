-- The network from which a client registered, until the client has its first grant. Clients with a network never had one: they are kept for
-- a day and limited in number. NULL for clients that had a grant, and for those that an older version registered.
ALTER TABLE clients ADD COLUMN registered_from TEXT;
CREATE INDEX IF NOT EXISTS clients_without_grant ON clients (registered_from, last_used_at) WHERE registered_from IS NOT NULL;

-- Whether a client has grants. The ids of registered clients are shorter than this; others may be too long for an index.
CREATE INDEX IF NOT EXISTS grants_by_client ON grants (substr(client_id, 1, 64));
