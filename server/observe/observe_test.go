package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// Log and metrics say the same of an exchange.
func TestARecordGoesToLogAndMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		record  *Record
		level   string
		logs    map[string]any
		metrics []string
	}{
		"answered": {
			&Record{Status: 200, Sent: 7, Model: "m", Known: true, Route: "r", Backend: "http://b", Outcome: responses.Outcome{HasUsage: true, Usage: responses.Usage{Input: 3, Output: 2}}},
			"INFO", map[string]any{"status": 200., "bytes": 7., "model": "m", "route": "r", "backend": "http://b", "input_tokens": 3., "output_tokens": 2.},
			[]string{`antwort_requests_total{code="200",endpoint="/e",provider="p"} 1`, `antwort_tokens_total{kind="output",model="m",provider="p"} 2`},
		},
		"of a model that nobody knows": {
			&Record{Status: 200, Model: "made up", Outcome: responses.Outcome{HasUsage: true, Usage: responses.Usage{Output: 2}}},
			"INFO", map[string]any{"model": "made up"}, []string{`antwort_tokens_total{kind="output",model="other",provider="p"} 2`},
		},
		"refused": {
			&Record{Status: 404, Failure: failure.NoRoute}, "INFO", map[string]any{"failure": "no_route"},
			[]string{`antwort_failures_total{kind="no_route",provider="p"} 1`, `antwort_requests_total{code="404",endpoint="/e",provider="p"} 1`},
		},
		"failed": {
			&Record{Status: 502, Failure: failure.UpstreamCut, Cause: errors.New("why"), Retries: 2}, "WARN",
			map[string]any{"failure": "upstream_cut", "cause": "why", "retries": 2.}, []string{`antwort_failures_total{kind="upstream_cut",provider="p"} 1`},
		},
		"failed in the middle": {
			&Record{Status: 200, Streamed: true, Failure: failure.UpstreamStream}, "WARN", map[string]any{"stream": true, "failure": "upstream_stream"},
			[]string{`antwort_request_duration_seconds_count{endpoint="/e",provider="p",stream="true"} 1`},
		},
		"nobody was there to be answered": {
			&Record{Failure: failure.ClientGone}, "INFO", map[string]any{"status": 499.}, []string{`antwort_requests_total{code="499",endpoint="/e",provider="p"} 1`},
		},
		"a probe": {&Record{Status: 200, Quiet: true}, "DEBUG", map[string]any{"status": 200.}, []string{`antwort_requests_total{code="200",endpoint="/e",provider="p"} 1`}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			o := New(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), "p")
			c.record.ID, c.record.Start, c.record.Endpoint = "req_1", time.Now(), "/e"
			o.Begin(c.record)
			o.End(c.record)
			var line map[string]any
			require.NoError(t, json.Unmarshal(log.Bytes(), &line))
			require.Equal(t, c.level, line["level"])
			require.Equal(t, "req_1", line["request_id"])
			for key, want := range c.logs {
				require.Equal(t, want, line[key], key)
			}
			w := httptest.NewRecorder()
			o.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			for _, want := range append(c.metrics, `antwort_requests_in_flight{provider="p"} 0`) {
				require.Contains(t, w.Body.String(), want)
			}
		})
	}
}

func TestTheFirstFailureStays(t *testing.T) {
	var r Record
	first := errors.New("first")
	r.Fail(failure.UpstreamCut, first)
	r.Fail(failure.ClientGone, errors.New("second"))
	require.Equal(t, failure.UpstreamCut, r.Failure)
	require.Equal(t, first, r.Cause)
}

func TestAPanicIsCountedAndLogged(t *testing.T) {
	var log bytes.Buffer
	o := New(slog.New(slog.NewJSONHandler(&log, nil)), "p")
	err := o.Panic(&Record{ID: "req_1", Endpoint: "/e"}, "oh")
	require.EqualError(t, err, "panic: oh")
	require.Contains(t, log.String(), `"endpoint":"/e"`)
	require.True(t, strings.Contains(log.String(), "TestAPanicIsCountedAndLogged"), "the stack is missing")
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, w.Body.String(), `antwort_panics_total{provider="p"} 1`)
}

func TestWhatIsUnderWayCanBeListed(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler), "p")
	begin := func(id string) *Record {
		r := &Record{ID: id, Endpoint: "/v1/responses", Start: time.Now(), Quiet: id == "probe"}
		o.Begin(r)
		return r
	}
	ids := func(most int) (ids []string) {
		for _, f := range o.Flights(most) {
			ids = append(ids, f.ID)
		}
		return ids
	}
	probe, first, second, third := begin("probe"), begin("1"), begin("2"), begin("3")
	require.Equal(t, []string{"1", "2", "3"}, ids(10))
	require.Equal(t, []string{"1", "2"}, ids(2), "those that began first")
	second.Model = "m" + strings.Repeat("x", 200)
	o.Sends(second, "r")
	second.Wrote(7)
	second.Wrote(3)
	said := o.Flights(10)[1]
	require.Equal(t, "r", said.Route)
	require.Len(t, said.Model, 128+len("…"))
	require.EqualValues(t, 10, said.Sent)
	require.EqualValues(t, 10, second.Sent)
	o.End(second)
	require.Equal(t, []string{"1", "3"}, ids(10))
	o.End(third)
	o.End(probe)
	require.Equal(t, []string{"1"}, ids(10))
	o.End(first)
	require.Empty(t, ids(10))
	o.End(begin("4"))
	require.Empty(t, ids(10))
}

func TestManyMayBeUnderWayAtATime(t *testing.T) {
	o := New(slog.New(slog.DiscardHandler), "p")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				r := &Record{ID: "r", Start: time.Now()}
				o.Begin(r)
				r.Model = "m"
				o.Sends(r, "r")
				r.Wrote(1)
				_ = o.Flights(5)
				o.End(r)
			}
		})
	}
	all.Wait()
	require.Empty(t, o.Flights(1))
}
