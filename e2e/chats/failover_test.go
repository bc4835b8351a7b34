package chats_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chats"
	"antwort/e2e/checkout"
	"antwort/server/state/pgtest"
)

// recovery is how long a server may take to answer stored requests again, once there is
// a database that can be written: a machine that is busy has six times what is aimed at.
const recovery = 30 * time.Second

// A database is killed and started anew, and then replaced by its synchronous standby,
// under sixteen callers: each turn is answered, or the store said to be away; nothing that
// was told is lost, nothing is kept twice, and nothing of it stays in the server.
func TestDatabaseFailsOverUnderCallers(t *testing.T) {
	long(t)
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	url := strings.Replace(primary.URL(), primary.Folder(), primary.Folder()+","+standby.Folder(), 1) + "&target_session_attrs=read-write"
	model := chats.NewModel(t, 0)
	server := chats.NewServer(t, "server", model.URL, fmt.Sprintf("{type: postgres, postgres: {dsn: %q, max_connections: 4}}", url))
	c := &callers{server: server, model: model, client: chats.Connections(t), reader: chats.Connections(t)}

	c.call(t)
	c.more(t)
	c.leave()
	require.Zero(t, c.away.Load(), "the database was there")
	before := c.settled(t, nil)

	c.call(t)
	c.more(t)
	primary.Kill(t)
	c.notices(t)
	primary.Run(t)
	c.recovers(t, "the database was started anew")
	c.more(t)
	primary.Kill(t)
	c.notices(t)
	standby.Promote(t)
	c.recovers(t, "the standby was promoted")
	c.more(t)
	c.leave()

	for _, told := range c.told {
		require.NoError(t, chats.Read(c.client, server.URL, told))
		chat := &chats.Chat{Last: told.ID, Said: told.Said}
		_, err := chat.Send(c.client, server.URL, model, "afterwards, "+told.ID, false)
		require.NoError(t, err)
	}
	c.keptOnce(t)
	c.settled(t, &before)
	t.Logf("%d turns told, %d times the store was away", len(c.told), c.away.Load())
}

// callers go on with a chat each.
type callers struct {
	server         *chats.Server
	model          *chats.Model
	client, reader *http.Client

	busy  sync.WaitGroup
	stop  chan bool
	calls int
	count atomic.Int64 // turns told
	away  atomic.Int64 // times they heard that the store cannot be reached

	mu   sync.Mutex
	told []*chats.Told
}

func (c *callers) call(t *testing.T) {
	c.stop = make(chan bool)
	t.Cleanup(func() { c.leave() })
	c.calls++
	for i := range 16 {
		c.busy.Go(func() {
			var chat chats.Chat
			for n := 0; ; n++ {
				select {
				case <-c.stop:
					return
				default:
				}
				told, err := chat.Send(c.client, c.server.URL, c.model, fmt.Sprintf("%d of chat %d.%d", n, c.calls, i), n%2 == 0)
				if err == nil {
					chat.Go(told)
					c.mu.Lock()
					c.told = append(c.told, told)
					c.mu.Unlock()
					c.count.Add(1)
					err = chats.Read(c.client, c.server.URL, told)
				}
				switch {
				case err == nil:
				case !chats.Unavailable(err):
					assert.NoError(t, err)
					return
				default:
					c.away.Add(1)
					<-time.After(50 * time.Millisecond) // as a client that was told to wait
				}
			}
		})
	}
}

// leave lets them end what they do.
func (c *callers) leave() {
	if c.stop != nil {
		close(c.stop)
		c.busy.Wait()
		c.stop = nil
	}
}

// more waits until they have been told some more.
func (c *callers) more(t *testing.T) {
	t.Helper()
	before := c.count.Load()
	require.Eventually(t, func() bool { return c.count.Load() >= before+200 }, time.Minute, 5*time.Millisecond, "nobody is answered")
}

// notices waits until one of them hears that the store is away.
func (c *callers) notices(t *testing.T) {
	t.Helper()
	before := c.away.Load()
	require.Eventually(t, func() bool { return c.away.Load() > before }, time.Minute, 5*time.Millisecond, "nobody hears that the store is away")
}

// recovers waits until what is stored can be read, and gone on from.
func (c *callers) recovers(t *testing.T, since string) {
	t.Helper()
	start := time.Now()
	c.mu.Lock()
	last := c.told[len(c.told)-1]
	c.mu.Unlock()
	chat := &chats.Chat{Last: last.ID, Said: last.Said}
	for try := 0; ; try++ {
		err := chats.Read(c.reader, c.server.URL, last)
		if err == nil {
			_, err = chat.Send(c.reader, c.server.URL, c.model, fmt.Sprintf("since %s, %d", since, try), true)
		}
		if err == nil {
			break
		}
		require.True(t, chats.Unavailable(err), "%v", err)
		require.Less(t, time.Since(start), recovery, "the server does not answer what needs its store, so long since %s: %v", since, err)
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("the server answers %v after %s", time.Since(start).Round(time.Millisecond), since)
}

// keptOnce expects of each turn that was told that it is there, and of none that it is
// there twice.
func (c *callers) keptOnce(t *testing.T) {
	t.Helper()
	out, err := exec.Command(checkout.Antwort(t), "state", "export", "--config", c.server.Config, "--all").Output()
	require.NoError(t, err)
	ids, inputs := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var line struct {
			Input    []struct{ Content any }
			Response struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		require.Len(t, line.Input, 1)
		ids[line.Response.ID]++
		inputs[fmt.Sprint(line.Input[0].Content)]++
	}
	require.NoError(t, lines.Err())
	for _, told := range c.told {
		require.Equal(t, 1, ids[told.ID], told.ID)
	}
	for what, n := range inputs {
		require.Equal(t, 1, n, what)
	}
	require.GreaterOrEqual(t, len(inputs), len(c.told))
}

// settled is how many goroutines the server has, and files and connections, when nobody
// calls: no more than before, where that is known.
func (c *callers) settled(t *testing.T, before *usage) (now usage) {
	t.Helper()
	for _, client := range []*http.Client{c.client, c.reader} {
		client.CloseIdleConnections()
	}
	c.model.Forget()
	defer func() { t.Logf("%+v", now) }()
	require.Eventually(t, func() bool {
		last := now
		now = usage{c.metric(t, "go_goroutines"), c.metric(t, "process_open_fds")}
		return c.metric(t, `antwort_state_pool_in_use{provider="vllm"}`) == 0 && now == last &&
			(before == nil || now.goroutines <= before.goroutines && now.files <= before.files)
	}, time.Minute, 100*time.Millisecond, "something is left in the server: before it was %+v", before)
	return now
}

// usage is what a server has.
type usage struct{ goroutines, files float64 }

// metric is a metric of the server.
func (c *callers) metric(t *testing.T, name string) float64 {
	resp, err := c.reader.Get(c.server.Admin + "/metrics")
	if !assert.NoError(t, err) {
		return math.NaN()
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	assert.NoError(t, err)
	for line := range strings.Lines(string(all)) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			assert.NoError(t, err)
			return n
		}
	}
	assert.Fail(t, "there is no metric "+name)
	return math.NaN()
}
