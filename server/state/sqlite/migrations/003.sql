-- Conversations: threads that have items, to which responses are added.
ALTER TABLE threads ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;     -- 0: a chain, 1: a conversation
ALTER TABLE threads ADD COLUMN metadata BLOB;                       -- what follows is NULL, or 0, in chains
ALTER TABLE threads ADD COLUMN next_seq INTEGER NOT NULL DEFAULT 0; -- of the next item
ALTER TABLE threads ADD COLUMN locked_by TEXT;
ALTER TABLE threads ADD COLUMN locked_until INTEGER;

CREATE TABLE items (
	thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
	seq    INTEGER NOT NULL, -- the order
	id     TEXT NOT NULL,
	batch  TEXT NOT NULL,    -- those that were added together have the same
	data   BLOB NOT NULL,
	PRIMARY KEY (thread, seq),
	UNIQUE (thread, id)
);
