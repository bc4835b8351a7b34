package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/state"
	"antwort/server/state/keeper"
	"antwort/server/state/pgtest"
	"antwort/shared/config"
)

// ended waits until a response in the background has ended.
func (r *running) ended(id string) (res resource, body string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		a := r.call("GET", "/v1/responses/"+id, "")
		require.Equal(r.t, 200, a.status, a.body)
		res, body = read(r.t, a), a.body
		return res.Status != "queued" && res.Status != "in_progress"
	}, guard, 5*time.Millisecond)
	return res, body
}

// replay reads the events of a response after one.
func (r *running) replay(id string, after int) answer {
	r.t.Helper()
	return r.call("GET", fmt.Sprintf("/v1/responses/%s?stream=true&starting_after=%d", id, after), "")
}

// split cuts a stream into its events; the last is [DONE].
func split(body string) []string { return strings.SplitAfter(strings.TrimSuffix(body, "\n\n"), "\n\n") }

// TestBackground is check 37.
func TestBackground(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		a := r.ask(`"background":true,"input":"hi"`)
		res := read(t, a)
		require.Equal(t, "queued", res.Status)
		require.True(t, res.Store)
		require.Contains(t, a.body, `"background":true,"store":true`)
		done, body := r.ended(res.ID)
		require.Equal(t, "completed", done.Status, body)
		require.Contains(t, body, `"background":true,"store":true`)
		require.Contains(t, body, "I received 1 message")
		created := func(body string) string {
			_, text, _ := strings.Cut(body, `"created_at":`)
			text, _, _ = strings.Cut(text, ",")
			return text
		}
		require.Equal(t, created(a.body), created(body))
		_, asked := llm.last(t)
		require.Equal(t, "true", string(asked["stream"]))

		next := read(t, r.next(res.ID, `"background":true,"input":"b","instructions":"\"status\":\"queued\",","metadata":{"a":"b"}`))
		done, body = r.ended(next.ID)
		require.Equal(t, "completed", done.Status, body)
		messages, _ := llm.last(t)
		require.Len(t, messages, 4)
		items := r.call("GET", "/v1/responses/"+next.ID+"/input_items", "")
		require.Contains(t, items.body, `"text":"b"`)
		refused(t, r.replay(res.ID, 0), 400, "", "stream_unavailable", "created with background and stream")

		asks := llm.asked()
		refused(t, r.ask(`"background":true,"store":false,"input":"a"`), 400, "store", "invalid_value", "leave store out")
		refused(t, r.ask(`"background":"x","input":"a"`), 400, "background", "invalid_type", "boolean")
		refused(t, r.ask(`"background":true,"input":"a","temperature":9`), 400, "temperature", "out_of_range", "")
		refused(t, r.next("resp_"+strings.Repeat("0", 28), `"background":true,"input":"a"`), 400, "previous_response_id", "previous_response_not_found", "not found")
		require.Equal(t, asks, llm.asked())
	})
	r := start(t, config.VLLM, newSeen(t).url, func(c *config.Config) { c.State.Type = config.NoState })
	refused(t, r.ask(`"background":true,"input":"a"`), 400, "background", "unsupported_parameter", "send background false")
}

// A failure of the model is the response's, streamed or not.
func TestBackgroundFails(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		for _, input := range []string{"mock: status=400", "mock: cut-after=4"} {
			res := read(t, r.ask(`"background":true,"input":"`+input+`"`))
			done, body := r.ended(res.ID)
			require.Equal(t, "failed", done.Status, body)
			require.NotNil(t, done.Error)
			refused(t, r.next(res.ID, `"input":"b"`), 400, "previous_response_id", "previous_response_unusable", "has failed")
			a := r.ask(`"background":true,"stream":true,"input":"` + input + `"`)
			res = read(t, a)
			require.Equal(t, "failed", res.Status)
			require.Equal(t, resourceOf(t, a), r.call("GET", "/v1/responses/"+res.ID, "").body)
		}
	})
}

// TestBackgroundStreamIsResumed is check 38.
func TestBackgroundStreamIsResumed(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		other := r
		if strings.HasSuffix(t.Name(), "/postgres") { // another replica
			other = start(t, config.VLLM, llm.url, r.kept)
		}
		a := r.ask(`"background":true,"stream":true,"input":"mock: reasoning=hmm tokens=12"`)
		require.Equal(t, 200, a.status, a.body)
		res := read(t, a)
		require.Equal(t, "completed", res.Status)
		events := split(a.body)
		require.Contains(t, events[0], "event: response.created\n")
		require.Contains(t, events[0], `"status":"queued"`)
		require.Contains(t, events[1], "event: response.queued\n")
		require.Contains(t, events[2], "event: response.in_progress\n")
		for i := range events[:len(events)-1] {
			require.Contains(t, events[i], fmt.Sprintf(`"sequence_number":%d,`, i))
		}
		require.Equal(t, resourceOf(t, a), r.call("GET", "/v1/responses/"+res.ID, "").body)
		for k := -1; k < len(events)+3; k++ {
			for _, from := range []*running{r, other} {
				got := r.call("GET", "/v1/responses/"+res.ID+"?stream=true", "")
				if k >= 0 {
					got = from.replay(res.ID, k)
				}
				require.Equal(t, 200, got.status)
				require.Equal(t, "text/event-stream", got.header.Get("Content-Type"))
				require.Equal(t, a.body, strings.Join(events[:min(k+1, len(events)-1)], "")+got.body, "after %d", k)
			}
		}
		for _, after := range []string{"-1", "x", "1.5", "99999999999"} {
			refused(t, r.call("GET", "/v1/responses/"+res.ID+"?stream=true&starting_after="+after, ""), 400, "starting_after", "invalid_value", "sequence number")
		}
		plain := read(t, r.ask(`"input":"a","stream":true`))
		refused(t, r.replay(plain.ID, 0), 400, "", "stream_unavailable", "")
		refused(t, r.replay("resp_"+strings.Repeat("0", 28), 0), 404, "", "response_not_found", "")
	})
}

// held is a model that goes on when the test says so.
type held struct {
	*running
	url  string
	send chan string   // what the model sends; closed: its end
	left chan struct{} // is told when the server has left
	asks atomic.Int32
}

func newHeld(t *testing.T) *held {
	h := &held{send: make(chan string), left: make(chan struct{}, 10)}
	h.url = upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		h.asks.Add(1)
		send := sending(w)
		send(chatRole)
		for {
			select {
			case text, open := <-h.send:
				if !open {
					send(chatFinish + chatUsage + chatDone)
					return
				}
				send(text)
			case <-q.Context().Done():
				h.left <- struct{}{}
				return
			}
		}
	}))
	return h
}

// eachHeld runs a test with every store; other is a replica where there can be one.
func eachHeld(t *testing.T, test func(t *testing.T, r, other *running, llm *held), edit ...func(*config.Config)) {
	for name := range storedTypes(t) {
		for _, place := range [...]string{atServer, atFrontend} {
			t.Run(name+place, func(t *testing.T) {
				t.Parallel()
				llm := newHeld(t)
				edit := append([]func(*config.Config){storedTypes(t)[name]}, edit...)
				r := keeping(t, place, llm.url, edit...)
				ready(t, r)
				other := r
				if name == "postgres" {
					other = keeping(t, place, llm.url, edit...)
					ready(t, other)
				}
				test(t, r, other, llm)
			})
		}
	}
}

// begin begins a streamed response in the background, and reads its events up to the
// first text.
func (r *running) begin(llm *held) (id, told string, events *eventReader, leave func()) {
	ctx, cancel := context.WithCancel(context.Background())
	resp, err := r.do(ctx, "POST", "/v1/responses", strings.NewReader(`{"model":"m","input":"hi","background":true,"stream":true}`))
	require.NoError(r.t, err)
	if resp.StatusCode != 200 {
		body, _ := io.ReadAll(resp.Body)
		require.FailNow(r.t, resp.Status, string(body))
	}
	events = readEvents(r.t, resp.Body)
	told = events.until("response.created")
	_, id, _ = strings.Cut(told, `"response":{"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	told += events.until("response.in_progress")
	if llm != nil {
		llm.send <- chatText("one ")
		told += events.until("response.output_text.delta")
	}
	return id, told, events, func() {
		cancel()
		resp.Body.Close()
	}
}

// Readers anywhere see what comes, while it comes.
func TestBackgroundStreamIsFollowedLive(t *testing.T) {
	eachHeld(t, func(t *testing.T, r, other *running, llm *held) {
		id, told, events, _ := r.begin(llm)
		require.Contains(t, r.call("GET", "/v1/responses/"+id, "").body, `"status":"in_progress","completed_at":null`)
		refused(t, r.next(id, `"input":"b"`), 400, "previous_response_id", "previous_response_unusable", "has not ended yet")
		resp := other.open("GET", "/v1/responses/"+id+"?stream=true", http.NoBody)
		beside := readEvents(t, resp.Body)
		require.Equal(t, told, beside.until("response.output_text.delta"))
		llm.send <- chatText("two")
		second := events.until("response.output_text.delta")
		require.Equal(t, second, beside.until("response.output_text.delta"))
		close(llm.send)
		end := events.until("response.completed") + events.next()
		require.Equal(t, end, beside.until("response.completed")+beside.next())
		resp.Body.Close()
		checkStream(t, told+second+end)
		llm.send = make(chan string)
	})
}

// TestBackgroundWithoutItsClient is check 39.
func TestBackgroundWithoutItsClient(t *testing.T) {
	for _, takes := range []bool{true, false} {
		eachHeld(t, func(t *testing.T, r, _ *running, llm *held) {
			ctx, leave := context.WithCancel(context.Background())
			resp, err := r.do(ctx, "POST", "/v1/responses", strings.NewReader(`{"model":"m","input":"hi","background":true,"stream":true}`))
			require.NoError(t, err)
			told := readEvents(t, resp.Body).next()
			leave()
			_, id, _ := strings.Cut(told, `"response":{"id":"`)
			id, _, _ = strings.Cut(id, `"`)
			close(llm.send)
			res, body := r.ended(id)
			require.Equal(t, "completed", res.Status, body)
			llm.send = make(chan string)
			id, _, _, stop := r.begin(nil)
			stop()
			llm.send <- chatText("all the same")
			close(llm.send)
			res, body = r.ended(id)
			require.Equal(t, "completed", res.Status)
			require.Contains(t, body, "all the same")
			require.Empty(t, llm.left)
			llm.send = make(chan string)
		}, func(c *config.Config) { c.Server.TakeOver = takes })
	}
}

// TestBackgroundIsCancelled is check 40.
func TestBackgroundIsCancelled(t *testing.T) {
	eachHeld(t, func(t *testing.T, r, other *running, llm *held) {
		// One that runs, and others that wait behind it.
		id, told, events, _ := r.begin(llm)
		if other == r {
			waits := read(t, r.ask(`"background":true,"input":"b"`))
			require.Equal(t, "queued", waits.Status)
			a := r.call("POST", "/v1/responses/"+waits.ID+"/cancel", "")
			require.Equal(t, 200, a.status)
			require.Equal(t, "cancelled", read(t, a).Status)
			require.EqualValues(t, 1, llm.asks.Load())
		}
		a := other.call("POST", "/v1/responses/"+id+"/cancel", "")
		begun := time.Now()
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, "cancelled", read(t, a).Status)
		require.Contains(t, a.body, `"status":"cancelled","completed_at":null,"error":null,"incomplete_details":null,"output":[]`)
		wait(t, llm.left, "the upstream was not told")
		require.Less(t, time.Since(begun), guard/2) // one, and what a busy machine takes
		told += events.until("response.incomplete") + events.next()
		checkStream(t, told)
		require.Equal(t, told, other.call("GET", "/v1/responses/"+id+"?stream=true", "").body)
		for _, again := range []answer{other.call("POST", "/v1/responses/"+id+"/cancel", ""), r.call("GET", "/v1/responses/"+id, "")} {
			require.Equal(t, 200, again.status)
			require.Equal(t, a.body, again.body)
		}

		id, _, _, _ = r.begin(llm)
		require.Equal(t, 200, other.call("DELETE", "/v1/responses/"+id, "").status)
		wait(t, llm.left, "the upstream was not told")
		refused(t, r.call("GET", "/v1/responses/"+id, ""), 404, "", "response_not_found", "")

		id, _, events, _ = r.begin(llm)
		close(llm.send)
		events.until("response.completed")
		whole := r.call("GET", "/v1/responses/"+id, "")
		a = r.call("POST", "/v1/responses/"+id+"/cancel", "")
		require.Equal(t, 200, a.status)
		require.Equal(t, whole.body, a.body)
		foreground := read(t, r.ask(`"input":"b","stream":true`))
		refused(t, r.call("POST", "/v1/responses/"+foreground.ID+"/cancel", ""), 400, "", "not_cancellable", "Cannot cancel a synchronous response.")
		refused(t, r.call("POST", "/v1/responses/resp_"+strings.Repeat("0", 28)+"/cancel", ""), 404, "", "response_not_found", "")
		llm.send = make(chan string)
	}, func(c *config.Config) { c.State.Background.Workers = 1 })
}

// However cancelling and completing meet, there is one end, which all are told.
func TestBackgroundCancelMeetsCompletion(t *testing.T) {
	n := 1000
	if testing.Short() || raceDetector { // a tenth, which takes as long
		n = 100
	}
	for name, store := range storedTypes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llm := newSeen(t)
			r := start(t, config.VLLM, llm.url, store)
			ready(t, r)
			var ends sync.Map
			turns := make(chan int)
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					for i := range turns {
						resp, err := r.do(context.Background(), "POST", "/v1/responses", strings.NewReader(`{"input":"hi","model":"/mnt/models","background":true,"stream":true}`))
						if err != nil {
							t.Error(err)
							return
						}
						first := make([]byte, 200)
						_, _ = io.ReadFull(resp.Body, first)
						_, id, _ := strings.Cut(string(first), `"response":{"id":"`)
						id, _, _ = strings.Cut(id, `"`)
						time.Sleep(time.Duration(i%40) * time.Millisecond / 2)
						cancelled := r.call("POST", "/v1/responses/"+id+"/cancel", "")
						rest, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						got := r.call("GET", "/v1/responses/"+id, "")
						told := answer{200, nil, string(first) + string(rest)}
						if err != nil || cancelled.body != got.body || resourceOf(t, told) != got.body {
							t.Errorf("%v\n%s\n%s\n%s", err, cancelled.body, got.body, told.body)
						}
						if t.Failed() {
							continue
						}
						if replayed := r.replay(id, 0); !strings.HasSuffix(told.body, replayed.body) {
							t.Errorf("%s\n%s", told.body, replayed.body)
						}
						count, _ := ends.LoadOrStore(read(t, got).Status, new(atomic.Int32))
						count.(*atomic.Int32).Add(1)
					}
				})
			}
			for i := range n {
				turns <- i
			}
			close(turns)
			clients.Wait()
			ends.Range(func(status, count any) bool {
				t.Log(status, count.(*atomic.Int32).Load())
				require.Contains(t, []string{"completed", "cancelled"}, status)
				return true
			})
		})
	}
}

// TestBackgroundReplayExpires is check 42.
func TestBackgroundReplayExpires(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		a := r.ask(`"background":true,"stream":true,"input":"hi"`)
		res := read(t, a)
		require.Eventually(t, func() bool { return r.replay(res.ID, 0).status == 400 }, guard, 20*time.Millisecond)
		refused(t, r.replay(res.ID, 0), 400, "", "stream_expired", "can no longer be streamed")
		require.Equal(t, resourceOf(t, a), r.call("GET", "/v1/responses/"+res.ID, "").body)
	}, func(c *config.Config) { c.State.Background.Replay = time.Second })
}

func TestBackgroundQueueIsFull(t *testing.T) {
	eachHeld(t, func(t *testing.T, r, _ *running, _ *held) {
		one, two := read(t, r.ask(`"background":true,"input":"a"`)), read(t, r.ask(`"background":true,"input":"a"`))
		a := r.ask(`"background":true,"input":"a"`)
		refused(t, a, 429, "", "background_queue_full", "you have 2 responses in the background")
		require.NotEmpty(t, a.header.Get("Retry-After"))
		for _, id := range []string{one.ID, two.ID} {
			require.Equal(t, 200, r.call("POST", "/v1/responses/"+id+"/cancel", "").status)
		}
		require.Equal(t, 200, r.ask(`"background":true,"input":"a"`).status)
	}, func(c *config.Config) { c.State.Background.Queue = 2 })
}

func TestBackgroundTakesTooLong(t *testing.T) {
	t.Parallel()
	eachHeld(t, func(t *testing.T, r, _ *running, llm *held) {
		_, told, events, _ := r.begin(llm)
		told += events.until("response.failed") + events.next()
		checkStream(t, told)
		require.Contains(t, told, `"code":"server_error","message":"the work on the response took too long (state.background.max_time)"`)
		wait(t, llm.left, "the upstream was not told")
	}, func(c *config.Config) { c.State.Background.MaxTime = time.Second })
}

// unclosed is a store that outlives its servers.
type unclosed struct{ *keeper.Keeper }

func (unclosed) Close() error { return nil }

// lasting opens a store for several servers, one after the other or at once.
func lasting(t *testing.T, store func(*config.Config)) func() *keeper.Keeper {
	cfg := config.Default()
	cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, "http://llm"
	store(cfg)
	opened, err := keeper.Open(context.Background(), cfg, keeper.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	return func() *keeper.Keeper {
		return keeper.New(unclosed{opened}, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	}
}

// TestBackgroundIsRecovered is check 41, for a worker whose lease has lapsed: what
// showed nothing is done again, and what showed something fails.
func TestBackgroundIsRecovered(t *testing.T) {
	t.Parallel()
	for name, store := range storedTypes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, again := context.Background(), lasting(t, store)
			kept := again()
			idle := startWith(t, Options{Store: kept}, config.VLLM, "http://127.0.0.1:9") // there is no model: nobody begins
			leave := func(members string, tries int) (id string, j *state.Job) {
				req := `{"model":"/mnt/models","background":true,` + members + `,"input":"hi"}`
				resp := idle.open("POST", "/v1/responses", strings.NewReader(req))
				first := make([]byte, 200)
				_, err := io.ReadFull(resp.Body, first)
				require.NoError(t, err)
				resp.Body.Close()
				_, id, _ = strings.Cut(string(first), `"id":"`)
				id, _, _ = strings.Cut(id, `"`)
				for range tries {
					require.Eventually(t, func() bool {
						j, err = kept.Claim(ctx, time.Millisecond)
						return err == nil
					}, guard, time.Millisecond)
					require.Equal(t, id, "resp_"+j.ID)
				}
				return id, j
			}
			llm := newSeen(t)
			run := func() *running {
				r := startWith(t, Options{Store: again()}, config.VLLM, llm.url)
				ready(t, r)
				return r
			}
			unseen, _ := leave(`"store":true`, 1)
			r := run()
			res, body := r.ended(unseen)
			require.Equal(t, "completed", res.Status, body)
			require.Contains(t, r.call("GET", "/metrics", "").body, "antwort_background_recovered_total{provider=\"vllm\"} 1")
			r.stop()
			r.drained()

			silent, j := leave(`"stream":true`, 1)
			require.NoError(t, kept.Append(ctx, j.Lease, state.Events{First: 2, Last: 2, Data: []byte("event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":2}\n\n")}))
			r = run()
			res, body = r.ended(silent)
			require.Equal(t, "completed", res.Status, "nobody has seen a word: %s", body)
			rest := r.replay(silent, 2).body
			require.Contains(t, split(rest)[0], `"sequence_number":3,`)
			require.Equal(t, body, resourceLast(t, rest))
			r.stop()
			r.drained()

			shown, j := leave(`"stream":true`, 1)
			words := "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":2}\n\n" +
				"event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":3}\n\n"
			require.NoError(t, kept.Append(ctx, j.Lease, state.Events{First: 2, Last: 3, Data: []byte(words)}))
			asked := llm.asked()
			r = run()
			res, body = r.ended(shown)
			require.Equal(t, "failed", res.Status)
			require.Equal(t, "server_error", res.Error.Code)
			require.Equal(t, asked, llm.asked())
			rest = r.replay(shown, 1).body
			require.True(t, strings.HasPrefix(rest, words))
			require.Contains(t, split(rest)[2], "event: error\ndata: {\"type\":\"error\",\"sequence_number\":4,")
			require.Contains(t, split(rest)[3], "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":5,")
			require.Equal(t, body, resourceLast(t, rest))
			r.stop()
			r.drained()

			often, _ := leave(`"store":true`, 3)
			r = run()
			res, _ = r.ended(often)
			require.Equal(t, "failed", res.Status, "three times are enough")
			require.Equal(t, asked, llm.asked())
			r.stop()
			r.drained()

			parent := read(t, idle.ask(`"background":true,"input":"a"`))
			j, err := kept.Claim(ctx, time.Minute)
			require.NoError(t, err)
			record := j.Record
			record.Status = state.Completed
			require.NoError(t, kept.Finish(ctx, j.Lease, &record, state.Events{}))
			child := read(t, idle.next(parent.ID, `"background":true,"input":"b"`))
			require.Equal(t, 200, idle.call("DELETE", "/v1/responses/"+parent.ID, "").status)
			res, body = run().ended(child.ID)
			require.Equal(t, "failed", res.Status)
			require.Equal(t, "previous_response_not_found", res.Error.Code, body)
		})
	}
}

// resourceLast is the resource of the last event of a part of a stream.
func resourceLast(t *testing.T, body string) string {
	t.Helper()
	text, ok := strings.CutSuffix(body, "}\n\ndata: [DONE]\n\n")
	require.True(t, ok, body)
	_, resource, ok := strings.Cut(text[strings.LastIndex(text, "\ndata: "):], `,"response":`)
	require.True(t, ok, body)
	return resource
}

// TestBackgroundWhileTheServerStops is check 43: what runs may end, what cannot is
// another's where nothing was shown, and fails where something was.
func TestBackgroundWhileTheServerStops(t *testing.T) {
	t.Parallel()
	for name, store := range storedTypes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := lasting(t, store)
			run := func(llm string, drain time.Duration) *running {
				r := startWith(t, Options{Store: kept()}, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = drain })
				ready(t, r)
				return r
			}
			llm := newHeld(t)
			r := run(llm.url, guard)
			whole := read(t, r.ask(`"background":true,"input":"a"`))
			require.Eventually(t, func() bool { return llm.asks.Load() == 1 }, guard, time.Millisecond)
			r.stop()
			require.Eventually(t, r.draining.Load, guard, time.Millisecond)
			llm.send <- chatText("at last")
			close(llm.send)
			r.drained()

			llm = newHeld(t)
			r = run(llm.url, 0)
			id, told, events, _ := r.begin(llm)
			handed := read(t, r.ask(`"background":true,"input":"a"`))
			require.Eventually(t, func() bool { return llm.asks.Load() == 2 }, guard, time.Millisecond)
			begun := time.Now()
			r.stop()
			told += events.until("response.failed") + events.next()
			checkStream(t, told)
			require.Contains(t, told, "server_shutting_down")
			r.drained()
			require.Less(t, time.Since(begun), guard/2)

			llm = newHeld(t)
			r = run(llm.url, 0)
			_, body := r.ended(whole.ID)
			require.Contains(t, body, "at last")
			require.Equal(t, resourceLast(t, told), r.call("GET", "/v1/responses/"+id, "").body)
			llm.send <- chatText("elsewhere")
			close(llm.send)
			res, body := r.ended(handed.ID)
			require.Equal(t, "completed", res.Status)
			require.Contains(t, body, "elsewhere")
			require.Contains(t, r.call("GET", "/metrics", "").body, "antwort_background_recovered_total{provider=\"vllm\"} 0")
		})
	}
}

// The names of what a process is told that is to be killed.
const workerStore, workerModel = "WORKER_STORE", "WORKER_MODEL"

// TestWorkerProcess is the process that TestBackgroundWorkerIsKilled kills.
func TestWorkerProcess(t *testing.T) {
	place := os.Getenv(workerStore)
	if place == "" {
		t.Skip("it is for TestBackgroundWorkerIsKilled")
	}
	r := start(t, config.VLLM, os.Getenv(workerModel), storeAt(place), shortLease)
	ready(t, r)
	fmt.Println(r.url)
	select {}
}

// TestBackgroundWorkerIsKilled is check 41, for a process that dies.
func TestBackgroundWorkerIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killed(t, filepath.Join(t.TempDir(), "state.db"))
	})
	if testing.Short() {
		return
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		pg := pgtest.Shared(t)
		if pg == nil {
			t.Skip("there is no Postgres")
		}
		killed(t, pg.Schema(t))
	})
}

func shortLease(c *config.Config) { c.State.Background.Lease = time.Second }

func killed(t *testing.T, place string) {
	llm := newHeld(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$") //nolint:gosec // it is the test itself
	cmd.Env = append(os.Environ(), workerStore+"="+place, workerModel+"="+llm.url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	worker := &running{t: t, url: strings.TrimSpace(url), client: http1}
	silent := read(t, worker.ask(`"background":true,"input":"a"`))
	require.Eventually(t, func() bool { return llm.asks.Load() == 1 }, guard, time.Millisecond)
	id, told, _, _ := worker.begin(nil)
	require.Eventually(t, func() bool { return llm.asks.Load() == 2 }, guard, time.Millisecond)
	var more string
	for !strings.Contains(more, "response.output_text.delta") { // whichever of the two gets the words
		llm.send <- chatText("word ")
		more = worker.replayed(id)
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Contains(t, more, told)

	fresh := newHeld(t)
	r := start(t, config.VLLM, fresh.url, storeAt(place), shortLease)
	ready(t, r)
	res, body := r.ended(id)
	require.Equal(t, "failed", res.Status, body)
	whole := r.call("GET", "/v1/responses/"+id+"?stream=true", "").body
	require.True(t, strings.HasPrefix(whole, more), "%s\n%s", more, whole)
	require.Equal(t, body, resourceLast(t, whole))
	fresh.send <- chatText("again")
	close(fresh.send)
	res, body = r.ended(silent.ID)
	require.Equal(t, "completed", res.Status)
	require.Contains(t, body, `"text":"again"`)
	require.EqualValues(t, 1, fresh.asks.Load())
}

// replayed are the events that there are by now, of a response that goes on.
func (r *running) replayed(id string) string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	resp, err := r.do(ctx, "GET", "/v1/responses/"+id+"?stream=true", http.NoBody)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	time.AfterFunc(200*time.Millisecond, cancel)
	told, _ := io.ReadAll(resp.Body)
	return string(told)
}
