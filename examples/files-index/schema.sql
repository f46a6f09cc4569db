CREATE TABLE IF NOT EXISTS files (
  bucket TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  mimetype TEXT NOT NULL,
  etag TEXT NOT NULL,
  owner TEXT,
  created_at TEXT NOT NULL,
  changed_at TEXT NOT NULL, -- the time of the event
  is_deleted INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (bucket, key)
);
CREATE INDEX IF NOT EXISTS deleted_files ON files (changed_at) WHERE is_deleted = 1;
