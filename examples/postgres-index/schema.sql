CREATE TABLE IF NOT EXISTS files (
  bucket TEXT NOT NULL,
  key TEXT COLLATE "C" NOT NULL, -- in the order of its bytes
  record TEXT NOT NULL, -- JSON. JSONB can't have every character of a file name
  PRIMARY KEY (bucket, key)
);
