-- Jobs: responses that are worked on while nobody waits for them. What is not theirs
-- is NULL in all others.
ALTER TABLE antwort_responses
	ADD COLUMN request bytea,                      -- until the job has ended
	ADD COLUMN lease_until bigint,                 -- by the database's clock; NULL: nobody works on it
	ADD COLUMN attempt bigint NOT NULL DEFAULT 0,
	ADD COLUMN tries integer NOT NULL DEFAULT 0,
	ADD COLUMN log_until bigint,                   -- once it has ended; NULL: there is no log
	ALTER COLUMN request SET STORAGE EXTERNAL;
CREATE INDEX antwort_responses_jobs ON antwort_responses (created) WHERE status < 2;
CREATE INDEX antwort_responses_logs ON antwort_responses (log_until) WHERE log_until IS NOT NULL;

CREATE TABLE antwort_events (
	response text COLLATE "C" NOT NULL REFERENCES antwort_responses (id) ON DELETE CASCADE,
	first    bigint NOT NULL,
	last     bigint NOT NULL,
	data     bytea NOT NULL,
	PRIMARY KEY (response, first)
);
ALTER TABLE antwort_events ALTER COLUMN data SET STORAGE EXTERNAL;
