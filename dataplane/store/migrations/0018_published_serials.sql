-- The highest serial of each published object that a replica accepted. An older version of an object is never accepted again. The row with
-- an empty name holds the highest serial of removed objects whose own rows were deleted.
CREATE TABLE published_serials (
    object  TEXT   NOT NULL PRIMARY KEY, -- name of the Kubernetes object
    serial  BIGINT NOT NULL,
    hash    TEXT   NOT NULL,             -- of the document with this serial
    removed BIGINT NOT NULL              -- 1: the object was removed after that
);
