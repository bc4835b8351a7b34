package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit/program"
	"antwort/shared/config"
)

// chatOnDisk is a conversation that a server keeps in a file.
type chatOnDisk struct {
	r     *running
	llm   *seen
	texts []string          // of the turns that were told
	told  map[string]string // resources, by their ids
	last  string
}

// say has a turn of some 8 KB that do not compress, and returns what is told of it.
func (c *chatOnDisk) say() (a answer, completed bool) {
	c.r.t.Helper()
	text := fmt.Sprintf("turn %d: ", len(c.texts))
	for len(text) < 8<<10 {
		text += rand.Text()
	}
	members := fmt.Sprintf(`"input":"mock: tokens=3\n%s","stream":%t`, text, len(c.texts)%2 == 0)
	if c.last != "" {
		members += `,"previous_response_id":"` + c.last + `"`
	}
	a = c.r.ask(members)
	if a.status != 200 {
		return a, false
	}
	res := read(c.r.t, a)
	if res.Status == "failed" {
		require.Equal(c.r.t, "state_unavailable", res.Error.Code)
		return a, false
	}
	require.Equal(c.r.t, "completed", res.Status)
	require.True(c.r.t, res.Store)
	c.texts, c.last = append(c.texts, text), res.ID
	c.told[res.ID] = resourceOf(c.r.t, a)
	messages, _ := c.llm.last(c.r.t)
	var got []string
	for _, text := range said(messages) {
		if text, is := strings.CutPrefix(text, "user: mock: tokens=3\n"); is {
			got = append(got, text)
		}
	}
	require.Equal(c.r.t, c.texts, got, "the history is whole")
	return a, true
}

// has finds all that was told as it was told.
func (c *chatOnDisk) has(r *running) {
	for id, told := range c.told {
		got := r.call("GET", "/v1/responses/"+id, "")
		require.Equal(c.r.t, 200, got.status, got.body)
		require.Equal(c.r.t, told, got.body)
	}
}

// While nothing can be written to the file, all that needs that is 503, and what was told is
// read. When it can be again, the server goes on by itself, and nothing is lost.
func TestFileThatCannotBeWritten(t *testing.T) {
	slow(t)
	folder, mine := program.Disk(t, 8<<20)
	if !mine {
		return
	}
	path := filepath.Join(folder, "state.db")
	llm := newSeen(t)
	serve := func() *running {
		r := start(t, config.VLLM, llm.url, storeAt(path), func(c *config.Config) { c.State.CommitTimeout = 500 * time.Millisecond })
		ready(t, r)
		return r
	}
	c := &chatOnDisk{r: serve(), llm: llm, told: map[string]string{}}
	for _, trouble := range []struct {
		name  string
		begin func() (end func())
	}{
		{"the disk is full", func() func() { return program.Fill(t, folder) }},
		{"another program writes for long", func() func() {
			db, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			conn, err := db.Conn(context.Background())
			require.NoError(t, err)
			_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
			require.NoError(t, err)
			return func() {
				_, err := conn.ExecContext(context.Background(), "ROLLBACK")
				require.NoError(t, err)
				require.NoError(t, conn.Close())
				require.NoError(t, db.Close())
			}
		}},
	} {
		for range 3 {
			_, completed := c.say()
			require.True(t, completed, trouble.name)
		}
		end := trouble.begin()
		for completed := true; completed; { // what the file has room for inside is still written
			_, completed = c.say()
			require.Less(t, len(c.texts), 1000, trouble.name)
		}
		c.has(c.r)
		for _, members := range []string{`"input":"a"`, `"input":"a","store":true`, `"input":"a","previous_response_id":"` + c.last + `"`, `"input":"a","background":true`} {
			a := c.r.ask(members)
			refused(t, a, 503, "", "state_unavailable", "try again later")
			require.NotEmpty(t, a.header.Get("Retry-After"))
		}
		streamed := c.r.ask(`"input":"a","stream":true`)
		if streamed.status == 200 { // it was not known any more
			require.Equal(t, "failed", read(t, streamed).Status)
		} else {
			refused(t, streamed, 503, "", "state_unavailable", "try again later")
		}
		refused(t, c.r.call("POST", "/v1/conversations", "{}"), 503, "", "state_unavailable", "try again later")
		refused(t, c.r.call("DELETE", "/v1/responses/"+c.last, ""), 503, "", "state_unavailable", "try again later")
		require.False(t, read(t, c.r.ask(`"input":"a","store":false`)).Store)
		c.has(c.r)
		end()
		require.Eventually(t, func() bool { _, completed := c.say(); return completed }, guard, 10*time.Millisecond, trouble.name)
		c.has(c.r)
	}
	require.NotContains(t, c.r.log.String(), "panic")
	c.r.stop()
	c.r.drained()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	var sound string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
	require.Equal(t, "ok", sound)
	require.NoError(t, db.Close())
	c.r = serve()
	c.has(c.r)
	_, completed := c.say()
	require.True(t, completed)
}
