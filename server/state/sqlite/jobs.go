package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"antwort/server/state"
	"antwort/server/state/packed"
)

// jobStatements are those of the writer about jobs.
type jobStatements struct {
	known, waiting, request, event, claimable, claim, held, renew, release, valid, size, finish, log, get, resize, oldLogs, dropLog, noLog *sql.Stmt
}

func (s *jobStatements) all() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&s.known:     "SELECT flags, owner, coalesce(parent, ''), created FROM responses WHERE id = ?",
		&s.waiting:   "SELECT count(*) FROM responses WHERE status < 2 AND owner = ?",
		&s.request:   "UPDATE responses SET request = ?2 WHERE id = ?1",
		&s.event:     "INSERT INTO events (response, first, last, data) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		&s.claimable: `SELECT id FROM responses WHERE status < 2 AND (lease_until IS NULL OR lease_until <= ?) ORDER BY created LIMIT 1`,
		&s.claim: `UPDATE responses SET status = 1, attempt = attempt + 1, tries = tries + 1, lease_until = ?2 WHERE id = ?1
			RETURNING owner, attempt, tries, request, (SELECT coalesce(max(last), -1) + 1 FROM events WHERE response = ?1)`,
		&s.held:    "SELECT lease_until FROM responses WHERE id = ? AND attempt = ? AND status = 1",
		&s.renew:   "UPDATE responses SET lease_until = ?2 WHERE id = ?1",
		&s.release: "UPDATE responses SET status = 0, lease_until = NULL, tries = tries - 1 WHERE id = ? AND attempt = ? AND status = 1",
		&s.valid:   "SELECT thread FROM responses WHERE id = ? AND attempt = ? AND status = 1",
		&s.size:    "SELECT thread, attempt, status, length(output) + length(shell) + coalesce(length(request), 0) FROM responses WHERE id = ?",
		&s.finish:  `UPDATE responses SET status = ?2, cut = ?3, output = ?4, shell = ?5, log_until = ?6, request = NULL, lease_until = NULL WHERE id = ?1`,
		&s.log:     "SELECT first, last, data FROM events WHERE response = ? ORDER BY first",
		&s.get:     "SELECT " + columns + " FROM responses WHERE id = ? AND owner = ?",
		&s.resize: `UPDATE threads SET bytes = bytes + ?2,
			expires = CASE WHEN ?3 IS NULL THEN NULL WHEN expires BETWEEN ?3 AND ?3 + ?4 THEN expires ELSE ?3 + ?4 END WHERE id = ?1`,
		&s.oldLogs: "SELECT id FROM responses WHERE log_until <= ? ORDER BY log_until LIMIT ?",
		&s.dropLog: "DELETE FROM events WHERE response = ?",
		&s.noLog:   "UPDATE responses SET log_until = NULL WHERE id = ?",
	}
}

// Accept keeps a response that nobody has begun.
func (s *Store) Accept(ctx context.Context, j *state.Job, queue int) error {
	if err := j.CheckQueued(); err != nil {
		return err
	}
	r, events := j.Record, copied(j.Events)
	input, output, shell := s.texts.PackRecord(&r)
	request := s.texts.Pack(packed.Place{Owner: r.Owner, ID: r.ID, Column: packed.Request}, j.Request)
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		if known, err := w.accepted(ctx, &r); known || err != nil {
			return err
		}
		var waiting int
		if err := w.jobs.waiting.QueryRowContext(ctx, r.Owner[:]).Scan(&waiting); err != nil {
			return broken(err)
		}
		if queue > 0 && waiting >= queue {
			return state.ErrQueueFull
		}
		commit := w.commit
		if r.Joins != nil {
			commit = w.acceptJoined
		}
		if err := commit(ctx, &r, input, output, shell); err != nil {
			return err
		}
		if _, err := w.jobs.request.ExecContext(ctx, r.ID, request); err != nil {
			return broken(err)
		}
		if err := w.resize(ctx, &r, len(request)); err != nil {
			return err
		}
		return w.event(ctx, r.Owner, r.ID, events)
	})
}

// acceptJoined keeps a job of a conversation, which has the lock from now on.
func (w *writer) acceptJoined(ctx context.Context, r *state.Record, input, output, shell []byte) error {
	id := r.Joins.Conversation
	f, err := w.find(ctx, r.Owner, id)
	switch {
	case err != nil:
		return err
	case f.holder != r.Joins.Holder:
		return state.ErrLost
	}
	n, err := inserted(w.conversations.kept.ExecContext(ctx, r.ID, r.Owner[:], id, r.Status, r.Flags, r.Created.UnixMilli(), r.Cut, input, output, shell))
	if err != nil {
		return err
	}
	if n == 0 {
		return w.notInserted(ctx, r)
	}
	b := r.Batch()
	b.Items = nil
	if err := w.advance(ctx, id, &b, int64(len(input)+len(output)+len(shell)), 1, ""); err != nil {
		return err
	}
	_, err = w.conversations.lock.ExecContext(ctx, id, r.ID, w.now().Add(state.JobLock).UnixMilli())
	return broken(err)
}

// copied are events whose bytes stay, as they may be written after the caller has
// left.
func copied(e state.Events) state.Events {
	e.Data = append([]byte(nil), e.Data...)
	return e
}

// accepted reports whether the job is there already.
func (w *writer) accepted(ctx context.Context, r *state.Record) (bool, error) {
	var flags state.Flags
	var owner []byte
	var parent string
	var created int64
	err := w.jobs.known.QueryRowContext(ctx, r.ID).Scan(&flags, &owner, &parent, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, broken(err)
	case flags != r.Flags || state.Owner(owner) != r.Owner || parent != r.Parent || created != r.Created.UnixMilli():
		return false, state.ErrConflict
	}
	return true, nil
}

// resize counts what the thread of a response has more, and lets it live on.
func (w *writer) resize(ctx context.Context, r *state.Record, more int) error {
	var expires any
	if r.TTL > 0 {
		expires = w.now().Add(r.TTL).UnixMilli()
	}
	var thread string
	var attempt, size int64
	var status state.Status
	if err := w.jobs.size.QueryRowContext(ctx, r.ID).Scan(&thread, &attempt, &status, &size); err != nil {
		return broken(err)
	}
	_, err := w.jobs.resize.ExecContext(ctx, thread, more, expires, r.Slack().Milliseconds())
	return broken(err)
}

// event adds events to a log.
func (w *writer) event(ctx context.Context, owner state.Owner, id string, e state.Events) error {
	if len(e.Data) == 0 {
		return nil
	}
	_, err := w.jobs.event.ExecContext(ctx, id, e.First, e.Last, w.texts.Pack(packed.EventsAt(owner, id, e.First), e.Data))
	return broken(err)
}

// Claim takes the oldest job that nobody has.
func (s *Store) Claim(ctx context.Context, lease time.Duration) (*state.Job, error) {
	// A look that finds nothing, as most do, disturbs no writer.
	var id string
	err := s.read.claimable.QueryRowContext(ctx, s.writer.now().UnixMilli()).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows) && !s.writer.closed():
		return nil, state.ErrNotFound
	case err != nil:
		return nil, unavailable(ctx, err)
	}
	var job *state.Job
	err = s.writer.write(ctx, func(ctx context.Context, w *writer) (err error) {
		job, err = w.claim(ctx, lease)
		return err
	})
	if err != nil {
		return nil, err
	}
	return job, nil
}

func (w *writer) claim(ctx context.Context, lease time.Duration) (*state.Job, error) {
	var id string
	now := w.now()
	err := w.jobs.claimable.QueryRowContext(ctx, now.UnixMilli()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, state.ErrNotFound
	}
	if err != nil {
		return nil, broken(err)
	}
	var owner, request []byte
	j := new(state.Job)
	err = w.jobs.claim.QueryRowContext(ctx, id, now.Add(lease).UnixMilli()).Scan(&owner, &j.Lease.Attempt, &j.Tries, &request, &j.Next)
	if err != nil {
		return nil, broken(err)
	}
	j.Lease.ID, j.Lease.Owner = id, state.Owner(owner)
	r, err := readRecord(ctx, w.jobs.get, w.texts, j.Lease.Owner, id)
	if err == nil {
		j.Record = *r
		j.Request, err = w.texts.Unpack(packed.Place{Owner: r.Owner, ID: id, Column: packed.Request}, request)
	}
	if err != nil {
		return nil, decided(err)
	}
	return j, nil
}

// Renew lets leases be valid for longer. It writes only what has lost a third of its
// time.
func (s *Store) Renew(ctx context.Context, leases []state.Lease, lease time.Duration) ([]state.Lease, error) {
	if len(leases) == 0 {
		return nil, nil
	}
	var held []state.Lease
	err := s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		mine, now := []state.Lease(nil), w.now()
		for _, l := range leases {
			var until int64
			err := w.jobs.held.QueryRowContext(ctx, l.ID, l.Attempt).Scan(&until)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err == nil && until < now.Add(lease*2/3).UnixMilli() {
				_, err = w.jobs.renew.ExecContext(ctx, l.ID, now.Add(lease).UnixMilli())
			}
			if err != nil {
				return broken(err)
			}
			mine = append(mine, l)
		}
		held = mine
		return nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// Release gives a lease back.
func (s *Store) Release(ctx context.Context, l state.Lease) error {
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		n, err := inserted(w.jobs.release.ExecContext(ctx, l.ID, l.Attempt))
		if err == nil && n == 0 {
			err = state.ErrLost
		}
		return err
	})
}

// Append adds events to the log.
func (s *Store) Append(ctx context.Context, l state.Lease, e state.Events) error {
	e = copied(e)
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		var thread string
		err := w.jobs.valid.QueryRowContext(ctx, l.ID, l.Attempt).Scan(&thread)
		if errors.Is(err, sql.ErrNoRows) {
			return state.ErrLost
		}
		if err != nil {
			return broken(err)
		}
		return w.event(ctx, l.Owner, l.ID, e)
	})
}

// Finish ends a job.
func (s *Store) Finish(ctx context.Context, l state.Lease, r *state.Record, e state.Events) error {
	if err := r.Check(); err != nil {
		return err
	}
	head := *r
	head.Output, head.Shell = s.texts.PackEnd(r)
	e = copied(e)
	var joins state.Joins
	if r.Joins != nil { // the items of the answer, packed
		joins = *r.Joins
		joins.Items = s.texts.PackItems(r.Owner, joins.Conversation, joins.Items)
		head.Joins = &joins
	}
	return s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		var thread string
		var attempt, size int64
		var status state.Status
		err := w.jobs.size.QueryRowContext(ctx, head.ID).Scan(&thread, &attempt, &status, &size)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return state.ErrLost
		case err != nil:
			return broken(err)
		case attempt == l.Attempt && status == head.Status:
			return nil // it was ended before
		case attempt != l.Attempt || status != state.InProgress:
			return state.ErrLost
		}
		if head.Joins == nil {
			return w.finish(ctx, &head, int(size), e)
		}
		return w.wholly(ctx, func() error { return w.finishJoined(ctx, &head, int(size), e) })
	})
}

// finishJoined writes how a job of a conversation has ended, and adds its items. All
// texts are packed.
func (w *writer) finishJoined(ctx context.Context, r *state.Record, before int, e state.Events) error {
	id, b := r.Joins.Conversation, r.Batch()
	f, err := w.find(ctx, r.Owner, id)
	switch {
	case err != nil:
		return err
	case f.holder != r.ID && len(b.Items) > 0:
		return state.ErrLost
	}
	size, err := w.add(ctx, id, f.next, &b)
	if err != nil {
		return err
	}
	if err := w.finish(ctx, r, before, e); err != nil {
		return err
	}
	return w.advance(ctx, id, &b, size, 0, r.ID)
}

// finish writes how a job has ended. Output and Shell are packed.
func (w *writer) finish(ctx context.Context, r *state.Record, before int, e state.Events) error {
	var until any
	if r.Flags.Logs() {
		until = w.now().Add(r.Replay).UnixMilli()
	}
	if _, err := w.jobs.finish.ExecContext(ctx, r.ID, r.Status, r.Cut, r.Output, r.Shell, until); err != nil {
		return broken(err)
	}
	if err := w.resize(ctx, r, len(r.Output)+len(r.Shell)-before); err != nil {
		return err
	}
	return w.event(ctx, r.Owner, r.ID, e)
}

// Cancel ends a job that has not ended.
func (s *Store) Cancel(ctx context.Context, owner state.Owner, id string, end func(*state.Record, []state.Events) []byte) (*state.Record, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	var record *state.Record
	err := s.writer.write(ctx, func(ctx context.Context, w *writer) error {
		r, err := readRecord(ctx, w.jobs.get, w.texts, owner, id)
		if err != nil {
			return decided(err)
		}
		if r.Status < state.Completed {
			if err := w.cancel(ctx, r, end); err != nil {
				return err
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

func (w *writer) cancel(ctx context.Context, r *state.Record, end func(*state.Record, []state.Events) []byte) error {
	var thread string
	var attempt, size int64
	var status state.Status
	if err := w.jobs.size.QueryRowContext(ctx, r.ID).Scan(&thread, &attempt, &status, &size); err != nil {
		return broken(err)
	}
	log, err := w.log(ctx, r.Owner, r.ID)
	if err != nil {
		return decided(err)
	}
	next, data := state.Next(log), end(r, log)
	if r.Flags&state.Conversed != 0 {
		if _, err := w.conversations.unlock.ExecContext(ctx, thread, r.Owner[:], r.ID); err != nil {
			return broken(err)
		}
	}
	head := *r
	head.Output, head.Shell = w.texts.PackEnd(r)
	return w.finish(ctx, &head, int(size), state.Events{First: next, Last: next, Data: data})
}

// log reads a whole log.
func (w *writer) log(ctx context.Context, owner state.Owner, id string) (log []state.Events, err error) {
	rows, err := w.jobs.log.QueryContext(ctx, id)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var e state.Events
		err := rows.Scan(&e.First, &e.Last, &e.Data)
		if err == nil {
			e.Data, err = w.texts.Unpack(packed.EventsAt(owner, id, e.First), e.Data)
		}
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		log = append(log, e)
	}
	return log, errors.Join(rows.Err(), rows.Close())
}

// Events reads the log after an event.
func (s *Store) Events(ctx context.Context, owner state.Owner, id string, after int64) (*state.Log, error) {
	if !state.IsID(id) {
		return nil, state.ErrNotFound
	}
	rows, err := s.read.log.QueryContext(ctx, id, owner[:], after, state.LogRows+1)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	var log *state.Log
	for rows.Next() {
		if log == nil {
			log = new(state.Log)
		}
		var until, first, last sql.NullInt64
		var data []byte
		if err := rows.Scan(&log.Status, &log.Flags, &until, &first, &last, &data); err != nil {
			return nil, unavailable(ctx, err)
		}
		log.Expired = log.Status >= state.Completed && (!until.Valid || until.Int64 <= s.writer.now().UnixMilli())
		if log.More = len(log.Batches) == state.LogRows; log.Expired || log.More || !first.Valid {
			break
		}
		if data, err = s.texts.Unpack(packed.EventsAt(owner, id, first.Int64), data); err != nil {
			return nil, err
		}
		log.Batches = append(log.Batches, state.Events{First: first.Int64, Last: last.Int64, Data: data})
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(ctx, err)
	}
	if log == nil {
		return nil, state.ErrNotFound
	}
	return log, nil
}

// Queued is how many jobs nobody works on.
func (s *Store) Queued(ctx context.Context) (n int, err error) {
	if err := s.read.queued.QueryRowContext(ctx).Scan(&n); err != nil {
		return 0, unavailable(ctx, err)
	}
	return n, nil
}

// sweepLogs removes logs whose time is over.
func (w *writer) sweepLogs(ctx context.Context, at int64, limit int) (more bool, err error) {
	ids, err := texts(w.jobs.oldLogs.QueryContext(ctx, at, limit))
	if err != nil {
		return false, broken(err)
	}
	for _, id := range ids {
		if _, err := w.jobs.dropLog.ExecContext(ctx, id); err != nil {
			return false, broken(err)
		}
		if _, err := w.jobs.noLog.ExecContext(ctx, id); err != nil {
			return false, broken(err)
		}
	}
	return len(ids) == limit, nil
}

// texts are the first columns of rows.
func texts(rows *sql.Rows, err error) (all []string, _ error) {
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, text)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
