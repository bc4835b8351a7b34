package postgres

import (
	"context"
	"errors"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"

	"github.com/jackc/pgx/v5"
)

// clock is the database's, in milliseconds: leases hold between processes whose own
// clocks differ.
const clock = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

const (
	// As knownQuery it waits for what keeps it.
	acceptedQuery = "SELECT flags, owner, coalesce(parent, ''), created FROM antwort_responses WHERE id = $1 FOR NO KEY UPDATE"

	waitingQuery = "SELECT count(*) FROM antwort_responses WHERE status < 2 AND owner = $1"

	requestStatement = `
		WITH job AS (UPDATE antwort_responses SET request = $2 WHERE id = $1 RETURNING thread)
		UPDATE antwort_threads SET bytes = bytes + $3 WHERE id = (SELECT thread FROM job)`

	eventStatement = "INSERT INTO antwort_events (response, first, last, data) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"

	// What one process has locked the others leave to it.
	claimStatement = `
		UPDATE antwort_responses SET status = 1, attempt = attempt + 1, tries = tries + 1, lease_until = ` + clock + ` + $1
		WHERE id = (
			SELECT id FROM antwort_responses WHERE status < 2 AND (lease_until IS NULL OR lease_until <= ` + clock + `)
			ORDER BY created LIMIT 1 FOR UPDATE SKIP LOCKED
		) RETURNING id, thread, coalesce(parent, ''), depth, flags, created, cut, input, output, shell, owner, attempt, tries, request`

	nextQuery = "SELECT coalesce(max(last), -1) + 1 FROM antwort_events WHERE response = $1"

	// Only what has lost a third of its time is written.
	renewStatement = `
		WITH mine AS (
			SELECT r.id, r.attempt, r.lease_until FROM antwort_responses r
			JOIN unnest($1::text[], $2::bigint[]) l (id, attempt) ON l.id = r.id AND l.attempt = r.attempt WHERE r.status = 1
		), renewed AS (
			UPDATE antwort_responses r SET lease_until = ` + clock + ` + $3 FROM mine
			WHERE r.id = mine.id AND r.attempt = mine.attempt AND r.status = 1 AND mine.lease_until < ` + clock + ` + $3 * 2 / 3
		) SELECT id, attempt FROM mine`

	releaseStatement = "UPDATE antwort_responses SET status = 0, lease_until = NULL, tries = tries - 1 WHERE id = $1 AND attempt = $2 AND status = 1"

	// The lock lets no other claim the job in between.
	appendStatement = `
		WITH job AS (SELECT id FROM antwort_responses WHERE id = $1 AND attempt = $5 AND status = 1 FOR SHARE),
		new AS (INSERT INTO antwort_events (response, first, last, data) SELECT id, $2, $3, $4 FROM job ON CONFLICT DO NOTHING)
		SELECT count(*) FROM job`

	lockQuery = `
		SELECT thread, attempt, status, octet_length(output) + octet_length(shell) + coalesce(octet_length(request), 0)
		FROM antwort_responses WHERE id = $1 FOR UPDATE`

	finishStatement = `
		WITH job AS (
			UPDATE antwort_responses SET status = $2, cut = $3, output = $4, shell = $5, log_until = $6, request = NULL, lease_until = NULL
			WHERE id = $1 RETURNING thread
		) UPDATE antwort_threads SET bytes = bytes + $7, expires = CASE
			WHEN $8::bigint IS NULL THEN NULL
			WHEN expires BETWEEN $8::bigint AND $8::bigint + $9::bigint THEN expires
			ELSE $8::bigint + $9::bigint END
		WHERE id = (SELECT thread FROM job)`

	logQuery = `
		SELECT r.status, r.flags, coalesce(r.log_until, 0), coalesce(e.first, -1), coalesce(e.last, -1), e.data FROM antwort_responses r
		LEFT JOIN antwort_events e ON e.response = r.id AND e.last > $3 WHERE r.id = $1 AND r.owner = $2 ORDER BY e.first LIMIT $4`

	queuedQuery = "SELECT count(*) FROM antwort_responses WHERE status = 0 AND status < 2"

	sweepLogsStatement = `
		WITH old AS (
			SELECT id FROM antwort_responses WHERE log_until <= $1 ORDER BY log_until LIMIT $2 FOR UPDATE SKIP LOCKED
		), gone AS (DELETE FROM antwort_events WHERE response IN (SELECT id FROM old))
		UPDATE antwort_responses r SET log_until = NULL FROM old WHERE r.id = old.id`
)

// transact does something in one transaction. What is no failure of the database
// comes back as it is.
func (s *Store) transact(ctx context.Context, do func(pgx.Tx) error) error {
	if err := state.Ended(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return state.Unavailable(err)
	}
	var own error
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := do(tx)
		if state.Final(err) {
			own = err
		}
		return err
	})
	switch {
	case own != nil:
		return own
	case err != nil:
		return unavailable(ctx, err)
	}
	return nil
}

// Accept keeps a response that nobody has begun.
func (s *Store) Accept(ctx context.Context, j *state.Job, queue int) error {
	if err := j.CheckQueued(); err != nil {
		return err
	}
	r := &j.Record
	return s.transact(ctx, func(tx pgx.Tx) error {
		if known, err := accepted(ctx, tx, r); known || err != nil {
			return err
		}
		var waiting int
		if err := tx.QueryRow(ctx, waitingQuery, r.Owner[:]).Scan(&waiting); err != nil {
			return err
		}
		if queue > 0 && waiting >= queue {
			return state.ErrQueueFull
		}
		insert := s.acceptChained
		if r.Joins != nil {
			insert = s.acceptJoined
		}
		if err := insert(ctx, tx, r); err != nil {
			return err
		}
		request := s.texts.Pack(packed.Place{Owner: r.Owner, ID: r.ID, Column: packed.Request}, j.Request)
		if _, err := tx.Exec(ctx, requestStatement, r.ID, request, len(request)); err != nil {
			return err
		}
		return s.event(ctx, tx, r.Owner, r.ID, j.Events)
	})
}

// acceptChained keeps a job of a chain.
func (s *Store) acceptChained(ctx context.Context, tx pgx.Tx, r *state.Record) error {
	statement, args := s.insertion(r)
	var thread string
	err := tx.QueryRow(ctx, statement, args...).Scan(&thread)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && r.Parent == "", isCode(err, uniqueViolation):
		return state.ErrConflict
	case errors.Is(err, pgx.ErrNoRows), isCode(err, foreignKeyViolation):
		return &state.MissingError{ID: r.Parent}
	}
	return err
}

// acceptJoined keeps a job of a conversation, which has the lock from now on.
func (s *Store) acceptJoined(ctx context.Context, tx pgx.Tx, r *state.Record) error {
	id := r.Joins.Conversation
	f, err := find(ctx, tx, r.Owner, id)
	switch {
	case err != nil:
		return err
	case f.holder != r.Joins.Holder:
		return state.ErrLost
	}
	size, err := s.insertJoined(ctx, tx, r)
	switch {
	case errors.Is(err, errKnown):
		return state.ErrConflict
	case err != nil:
		return err
	}
	b := r.Batch()
	b.Items = nil
	if err := s.advance(ctx, tx, id, &b, size, 1, ""); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, lockStatement, id, r.ID, state.JobLock.Milliseconds())
	return err
}

// accepted reports whether the job is there already.
func accepted(ctx context.Context, tx pgx.Tx, r *state.Record) (bool, error) {
	var flags int16
	var owner []byte
	var parent string
	var created int64
	err := tx.QueryRow(ctx, acceptedQuery, r.ID).Scan(&flags, &owner, &parent, &created)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case flags != int16(r.Flags) || state.Owner(owner) != r.Owner || parent != r.Parent || created != r.Created.UnixMilli():
		return false, state.ErrConflict
	}
	return true, nil
}

// event adds events to a log.
func (s *Store) event(ctx context.Context, tx pgx.Tx, owner state.Owner, id string, e state.Events) error {
	if len(e.Data) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, eventStatement, id, e.First, e.Last, s.texts.Pack(packed.EventsAt(owner, id, e.First), e.Data))
	return err
}

// Claim takes the oldest job that nobody has.
func (s *Store) Claim(ctx context.Context, lease time.Duration) (*state.Job, error) {
	var j *state.Job
	var unread error
	err := s.transact(ctx, func(tx pgx.Tx) error {
		j, unread = nil, nil
		job := &state.Job{Record: state.Record{Status: state.InProgress}}
		r := &job.Record
		var flags int16
		var created int64
		var owner, input, output, shell, request []byte
		err := tx.QueryRow(ctx, claimStatement, lease.Milliseconds()).Scan(&r.ID, &r.Thread, &r.Parent, &r.Depth, &flags, &created, &r.Cut,
			&input, &output, &shell, &owner, &job.Lease.Attempt, &job.Tries, &request)
		if errors.Is(err, pgx.ErrNoRows) {
			return state.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, nextQuery, r.ID).Scan(&job.Next); err != nil {
			return err
		}
		r.Owner, r.Flags, r.Created = state.Owner(owner), state.Flags(flags), time.UnixMilli(created) //nolint:gosec // a Record's
		job.Lease.ID, job.Lease.Owner = r.ID, r.Owner
		if unread = s.texts.UnpackRecord(r, input, output, shell); unread == nil {
			job.Request, unread = s.texts.Unpack(packed.Place{Owner: r.Owner, ID: r.ID, Column: packed.Request}, request)
		}
		j = job
		return nil // what cannot be read is leased all the same
	})
	if err == nil {
		err = unread
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// Renew lets leases be valid for longer.
func (s *Store) Renew(ctx context.Context, leases []state.Lease, lease time.Duration) (held []state.Lease, err error) {
	if len(leases) == 0 {
		return nil, nil
	}
	ids, attempts, owners := make([]string, len(leases)), make([]int64, len(leases)), make(map[string]state.Owner, len(leases))
	for i, l := range leases {
		ids[i], attempts[i], owners[l.ID] = l.ID, l.Attempt, l.Owner
	}
	err = s.read(ctx, renewStatement, func(rows pgx.Rows) (err error) {
		held = held[:0]
		for rows.Next() {
			var l state.Lease
			if err := rows.Scan(&l.ID, &l.Attempt); err != nil {
				return unavailable(ctx, err)
			}
			l.Owner = owners[l.ID]
			held = append(held, l)
		}
		return nil
	}, ids, attempts, lease.Milliseconds())
	if err != nil {
		return nil, err
	}
	return held, nil
}

// Release gives a lease back.
func (s *Store) Release(ctx context.Context, l state.Lease) error {
	return s.transact(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, releaseStatement, l.ID, l.Attempt)
		if err == nil && tag.RowsAffected() == 0 {
			err = state.ErrLost
		}
		return err
	})
}

// Append adds events to the log.
func (s *Store) Append(ctx context.Context, l state.Lease, e state.Events) error {
	return s.read(ctx, appendStatement, func(rows pgx.Rows) error {
		for rows.Next() {
			var jobs int
			if err := rows.Scan(&jobs); err != nil {
				return unavailable(ctx, err)
			}
			if jobs == 0 {
				return state.ErrLost
			}
		}
		return nil
	}, l.ID, e.First, e.Last, s.texts.Pack(packed.EventsAt(l.Owner, l.ID, e.First), e.Data), l.Attempt)
}

// Finish ends a job.
func (s *Store) Finish(ctx context.Context, l state.Lease, r *state.Record, e state.Events) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.transact(ctx, func(tx pgx.Tx) error {
		var f *found
		if r.Joins != nil { // first, as whoever deletes the conversation does
			var err error
			if f, err = find(ctx, tx, r.Owner, r.Joins.Conversation); err != nil {
				return lostWith(err)
			}
		}
		attempt, status, size, err := lock(ctx, tx, r.ID)
		switch {
		case err != nil:
			return lostWith(err)
		case attempt == l.Attempt && status == r.Status:
			return nil // it was ended before
		case attempt != l.Attempt || status != state.InProgress:
			return state.ErrLost
		}
		if err := s.finish(ctx, tx, r, size, e); err != nil || r.Joins == nil {
			return err
		}
		return s.addJoined(ctx, tx, r, f, 0, 0)
	})
}

// lostWith is the error of a job that is gone, with all that it was in.
func lostWith(err error) error {
	if errors.Is(err, state.ErrNotFound) {
		return state.ErrLost
	}
	return err
}

// lock lets nobody else change a job until the transaction ends. size is of what its
// end replaces.
func lock(ctx context.Context, tx pgx.Tx, id string) (attempt int64, status state.Status, size int, err error) {
	var thread string
	var number int16
	err = tx.QueryRow(ctx, lockQuery, id).Scan(&thread, &attempt, &number, &size)
	if errors.Is(err, pgx.ErrNoRows) {
		err = state.ErrNotFound
	}
	return attempt, state.Status(number), size, err //nolint:gosec // a Record's
}

// finish writes how a job has ended.
func (s *Store) finish(ctx context.Context, tx pgx.Tx, r *state.Record, before int, e state.Events) error {
	var until, expires *int64
	if r.Flags.Logs() {
		at := s.now().Add(r.Replay).UnixMilli()
		until = &at
	}
	if r.TTL > 0 {
		at := s.now().Add(r.TTL).UnixMilli()
		expires = &at
	}
	output, shell := s.texts.PackEnd(r)
	_, err := tx.Exec(ctx, finishStatement, r.ID, int16(r.Status), r.Cut, output, shell, until, len(output)+len(shell)-before, expires, r.Slack().Milliseconds())
	if err != nil {
		return err
	}
	return s.event(ctx, tx, r.Owner, r.ID, e)
}

// Cancel ends a job that has not ended.
func (s *Store) Cancel(ctx context.Context, owner state.Owner, id string, end func(*state.Record, []state.Events) []byte) (*state.Record, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var record *state.Record
	err := s.transact(ctx, func(tx pgx.Tx) error {
		_, _, size, err := lock(ctx, tx, id)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, getQuery, id, owner[:])
		if err != nil {
			return err
		}
		r, err := scanRecord(rows, s.texts, owner)
		if err != nil {
			return err
		}
		if r.Status < state.Completed {
			log, err := s.wholeLog(ctx, tx, owner, id)
			if err != nil {
				return err
			}
			next, data := state.Next(log), end(r, log)
			if err := s.finish(ctx, tx, r, size, state.Events{First: next, Last: next, Data: data}); err != nil {
				return err
			}
			if r.Flags&state.Conversed != 0 {
				if _, err := tx.Exec(ctx, letGoStatement, r.Thread, r.ID); err != nil {
					return err
				}
			}
		}
		record = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return record, nil
}

// wholeLog reads a whole log.
func (s *Store) wholeLog(ctx context.Context, tx pgx.Tx, owner state.Owner, id string) ([]state.Events, error) {
	rows, err := tx.Query(ctx, "SELECT first, last, data FROM antwort_events WHERE response = $1 ORDER BY first", id)
	if err != nil {
		return nil, err
	}
	log, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.Events])
	for i := range log {
		if err == nil {
			log[i].Data, err = s.texts.Unpack(packed.EventsAt(owner, id, log[i].First), log[i].Data)
		}
	}
	return log, err
}

// Events reads the log after an event.
func (s *Store) Events(ctx context.Context, owner state.Owner, id string, after int64) (*state.Log, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var log *state.Log
	err := s.read(ctx, logQuery, func(rows pgx.Rows) error {
		log = nil
		for rows.Next() {
			if log == nil {
				log = new(state.Log)
			}
			var status, flags int16
			var until int64
			var e state.Events
			var data []byte
			if err := rows.Scan(&status, &flags, &until, &e.First, &e.Last, &data); err != nil {
				return unavailable(ctx, err)
			}
			log.Status, log.Flags = state.Status(status), state.Flags(flags) //nolint:gosec // a Record's
			log.Expired = log.Status >= state.Completed && until <= s.now().UnixMilli()
			if log.More = len(log.Batches) == state.LogRows; log.Expired || log.More || e.First < 0 {
				break
			}
			var err error
			if e.Data, err = s.texts.Unpack(packed.EventsAt(owner, id, e.First), data); err != nil {
				return err
			}
			log.Batches = append(log.Batches, e)
		}
		return nil
	}, id, owner[:], after, state.LogRows+1)
	if err == nil && log == nil {
		err = state.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return log, nil
}

// Queued is how many jobs nobody works on.
func (s *Store) Queued(ctx context.Context) (n int, err error) {
	err = s.read(ctx, queuedQuery, func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&n); err != nil {
				return unavailable(ctx, err)
			}
		}
		return nil
	})
	return n, err
}

// sweepLogs removes logs whose time is over.
func (s *Store) sweepLogs(ctx context.Context, at int64, limit int) (more bool, err error) {
	if err := s.prepare(ctx); err != nil {
		return false, state.Unavailable(err)
	}
	tag, err := s.pool.Exec(ctx, sweepLogsStatement, at, limit)
	if err != nil {
		return false, unavailable(ctx, err)
	}
	return tag.RowsAffected() == int64(limit), nil
}
