-- Jobs: responses that are worked on while nobody waits for them. What is not theirs
-- is NULL in all others.
ALTER TABLE responses ADD COLUMN request BLOB;        -- until the job has ended
ALTER TABLE responses ADD COLUMN lease_until INTEGER; -- NULL: nobody works on it
ALTER TABLE responses ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE responses ADD COLUMN log_until INTEGER;   -- once it has ended; NULL: there is no log
CREATE INDEX responses_jobs ON responses (created) WHERE status < 2;
CREATE INDEX responses_logs ON responses (log_until) WHERE log_until IS NOT NULL;

CREATE TABLE events (
	response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
	first    INTEGER NOT NULL,
	last     INTEGER NOT NULL,
	data     BLOB NOT NULL,
	PRIMARY KEY (response, first)
);
