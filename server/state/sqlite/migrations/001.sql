CREATE TABLE threads (
	id      TEXT PRIMARY KEY NOT NULL,
	owner   BLOB NOT NULL,
	created INTEGER NOT NULL, -- times are in milliseconds
	expires INTEGER,          -- NULL: never
	bytes   INTEGER NOT NULL, -- of all its responses
	turns   INTEGER NOT NULL
);
CREATE INDEX threads_owner ON threads (owner);
CREATE INDEX threads_expires ON threads (expires) WHERE expires IS NOT NULL;

CREATE TABLE responses (
	id      TEXT PRIMARY KEY NOT NULL,
	owner   BLOB NOT NULL,
	thread  TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
	parent  TEXT,             -- NULL: none
	depth   INTEGER NOT NULL, -- 1 is the first
	status  INTEGER NOT NULL,
	flags   INTEGER NOT NULL,
	created INTEGER NOT NULL,
	cut     INTEGER NOT NULL, -- the resource is shell[:cut] + output + shell[cut:]
	input   BLOB NOT NULL,
	output  BLOB NOT NULL,
	shell   BLOB NOT NULL     -- last: a chain does not read it
);
CREATE INDEX responses_thread ON responses (thread);
