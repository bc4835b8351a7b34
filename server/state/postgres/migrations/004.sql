-- What is sealed for clients is sealed with these.
CREATE TABLE antwort_keys (name text PRIMARY KEY, key bytea NOT NULL);
