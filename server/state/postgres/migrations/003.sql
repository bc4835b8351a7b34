-- Conversations: threads that have items, to which responses are added.
ALTER TABLE antwort_threads
	ADD COLUMN kind         smallint NOT NULL DEFAULT 0, -- 0: a chain, 1: a conversation
	ADD COLUMN metadata     bytea,                       -- what follows is NULL, or 0, in chains
	ADD COLUMN next_seq     bigint NOT NULL DEFAULT 0,   -- of the next item
	ADD COLUMN locked_by    text,
	ADD COLUMN locked_until bigint;

CREATE TABLE antwort_items (
	thread text COLLATE "C" NOT NULL REFERENCES antwort_threads (id) ON DELETE CASCADE,
	seq    bigint NOT NULL,           -- the order
	id     text COLLATE "C" NOT NULL,
	batch  text COLLATE "C" NOT NULL, -- those that were added together have the same
	data   bytea NOT NULL,
	PRIMARY KEY (thread, seq),
	UNIQUE (thread, id)
);
ALTER TABLE antwort_items ALTER COLUMN data SET STORAGE EXTERNAL;
