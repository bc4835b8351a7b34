package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"antwort/server/state"
	"antwort/server/state/pgtest"

	"github.com/stretchr/testify/require"
)

// wire is a way to a Postgres that notes what is said on it: the kind and length
// of each message, in either direction.
type wire struct {
	folder string // of its socket

	mu   sync.Mutex
	said []string
}

func newWire(t *testing.T, pg *pgtest.Server) *wire {
	t.Helper()
	folder, err := os.MkdirTemp("", "wire") // short: the socket's path must be
	require.NoError(t, err)
	w := &wire{folder: folder}
	l, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.NoError(t, os.RemoveAll(folder))
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			database, err := net.Dial("unix", filepath.Join(pg.Folder(), ".s.PGSQL.5432"))
			if err != nil {
				_ = client.Close()
				continue
			}
			go w.pass("client", database, client, true)
			go w.pass("database", client, database, false)
		}
	}()
	return w
}

// pass passes messages on. A client's first one has no kind.
func (w *wire) pass(who string, to io.WriteCloser, from io.Reader, first bool) {
	defer func() { _ = to.Close() }()
	for ; ; first = false {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(from, rest); err != nil {
			return
		}
		if !first {
			w.mu.Lock()
			w.said = append(w.said, fmt.Sprintf("%s %c %d", who, head[0], len(rest)))
			w.mu.Unlock()
		}
		if _, err := to.Write(append(head, rest...)); err != nil {
			return
		}
	}
}

// during is what is said while something is done, client and database apart: they
// do not wait for each other.
func (w *wire) during(do func()) (client, database []string) {
	w.mu.Lock()
	w.said = nil
	w.mu.Unlock()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.said {
		if strings.HasPrefix(s, "client") {
			client = append(client, s)
		} else {
			database = append(database, s)
		}
	}
	return client, database
}

// Of what is somebody else's and of what never was the database is asked by the
// same statement, once, and says as much.
func TestSomebodyElsesIsAskedForAsUnknown(t *testing.T) {
	pg := own(t)
	w := newWire(t, pg)
	s, err := Open(ctx, Options{DSN: strings.Replace(pg.Schema(t), pg.Folder(), w.folder, 1), MaxConnections: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	hers, bob := commit(t, s, ""), state.Owner{2}
	unknown := strings.Repeat("0", len(hers.ID))
	for name, ask := range map[string]func(owner state.Owner, id string) error{
		"get":    func(owner state.Owner, id string) error { _, err := s.Get(ctx, owner, id); return err },
		"delete": func(owner state.Owner, id string) error { return s.Delete(ctx, owner, id) },
		"chain": func(owner state.Owner, id string) error {
			_, err := s.Chain(ctx, owner, id, state.Bounds{Depth: 9, Bytes: 1 << 20})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			try := func(id string) (client, database []string) {
				return w.during(func() { require.ErrorIs(t, ask(bob, id), state.ErrNotFound) })
			}
			_, _ = try(unknown) // the statement is prepared once
			client, database := try(unknown)
			require.Equal(t, 1, strings.Count(strings.Join(client, ";"), "client E "), client)
			require.Equal(t, 1, strings.Count(strings.Join(client, ";"), "client B "), client)
			require.NotContains(t, strings.Join(client, ";"), "client P ")
			require.NotContains(t, strings.Join(database, ";"), "database D ", "a row")
			ofHers, told := try(hers.ID)
			require.Equal(t, client, ofHers)
			require.Equal(t, database, told)
		})
	}
	_, err = s.Get(ctx, alice, hers.ID)
	require.NoError(t, err)
}
