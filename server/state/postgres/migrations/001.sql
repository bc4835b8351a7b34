CREATE TABLE antwort_threads (
	id      text COLLATE "C" PRIMARY KEY,
	owner   bytea NOT NULL,
	created bigint NOT NULL, -- times are in milliseconds
	expires bigint,          -- NULL: never
	bytes   bigint NOT NULL, -- of all its responses
	turns   integer NOT NULL
);
CREATE INDEX antwort_threads_owner ON antwort_threads (owner);
CREATE INDEX antwort_threads_expires ON antwort_threads (expires) WHERE expires IS NOT NULL;

CREATE TABLE antwort_responses (
	id      text COLLATE "C" PRIMARY KEY,
	owner   bytea NOT NULL,
	thread  text COLLATE "C" NOT NULL REFERENCES antwort_threads (id) ON DELETE CASCADE,
	parent  text COLLATE "C",  -- NULL: none
	depth   integer NOT NULL,  -- 1 is the first
	status  smallint NOT NULL,
	flags   smallint NOT NULL,
	created bigint NOT NULL,
	cut     integer NOT NULL,  -- the resource is shell[:cut] + output + shell[cut:]
	input   bytea NOT NULL,
	output  bytea NOT NULL,
	shell   bytea NOT NULL
);
CREATE INDEX antwort_responses_thread ON antwort_responses (thread);
CREATE INDEX antwort_responses_owner ON antwort_responses (owner, created);

-- What is worth it is compressed before it comes here.
ALTER TABLE antwort_responses
	ALTER COLUMN input SET STORAGE EXTERNAL,
	ALTER COLUMN output SET STORAGE EXTERNAL,
	ALTER COLUMN shell SET STORAGE EXTERNAL;
