-- Which endpoint a catalog was seen at: one that is moved is learned anew. Empty in what the version before writes.
ALTER TABLE origin_catalogs ADD COLUMN origin_url TEXT NOT NULL DEFAULT '';
