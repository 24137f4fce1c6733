-- What is sealed under a key that was replaced is found by how it begins: version and key id (`keys/src/sealing.rs`). The envelope itself
-- tells, so that a version which knows nothing of it cannot make it wrong.
CREATE INDEX IF NOT EXISTS connections_by_sealing ON connections (substr(sealed, 1, 7));
CREATE INDEX IF NOT EXISTS origin_clients_by_sealing ON origin_clients (substr(sealed_secret, 1, 7));
