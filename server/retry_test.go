package server

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// scripted answers chat requests one after the other.
type scripted struct {
	calls atomic.Int32
	steps []func(http.ResponseWriter)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := int(s.calls.Add(1))
		s.steps[min(n, len(s.steps))-1](w)
	}).ServeHTTP(w, r)
}

func refusing(status int, retryAfter string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"no","type":"x","param":null,"code":1}}`)
	}
}

func answering(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, chatWhole)
}

func answering200(w http.ResponseWriter, _ *http.Request) { answering(w) }

func streamingAll(w http.ResponseWriter) {
	sending(w)(chatRole + chatText("hello") + chatFinish + chatUsage + chatDone)
}

func TestRetries(t *testing.T) {
	t.Parallel()
	type steps = []func(http.ResponseWriter)
	for _, c := range []struct {
		name       string
		steps      steps
		status     int
		calls      int32
		retryAfter string
	}{
		{"503 is tried again", steps{refusing(503, ""), answering}, 200, 2, ""},
		{"429 is tried again", steps{refusing(429, ""), answering}, 200, 2, ""},
		{"after Retry-After", steps{refusing(429, "1"), answering}, 200, 2, ""},
		{"Retry-After 0", steps{refusing(503, "0"), answering}, 200, 2, ""},
		{"no more than max_attempts", steps{refusing(503, "")}, 503, 3, ""},
		{"a longer Retry-After is the client's", steps{refusing(429, "120")}, 429, 1, "120"},
		{"a later date is the client's", steps{refusing(503, "Fri, 31 Dec 2999 23:59:59 GMT")}, 503, 1, "Fri, 31 Dec 2999 23:59:59 GMT"},
		{"500 is not", steps{refusing(500, ""), answering}, 500, 1, ""},
		{"502 is not", steps{refusing(502, ""), answering}, 502, 1, ""},
		{"400 is not", steps{refusing(400, ""), answering}, 400, 1, ""},
	} {
		for _, body := range []string{ask, askStream} {
			t.Run(c.name, func(t *testing.T) {
				steps := c.steps
				if body == askStream {
					steps = append([]func(http.ResponseWriter){}, steps...)
					if last := len(steps) - 1; c.status == 200 {
						steps[last] = streamingAll
					}
				}
				s := &scripted{steps: steps}
				r := start(t, config.VLLM, upstreamOf(t, s))
				got := r.post(body)
				require.Equal(t, c.status, got.status, got.body)
				require.Equal(t, c.calls, s.calls.Load())
				require.Equal(t, c.retryAfter, got.header.Get("Retry-After"))
				if c.status != 200 {
					got.errorCode(t)
				} else if body == askStream {
					checkStream(t, got.body)
				}
				if c.calls > 1 {
					line := r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
					require.EqualValues(t, c.calls-1, line["retries"])
				}
			})
		}
	}
}

// The frontend leaves retries of answers to the backend.
func TestForwardRetriesConnectFailuresOnly(t *testing.T) {
	s := &scripted{steps: []func(http.ResponseWriter){refusing(503, "1"), answering}}
	r := start(t, config.VLLMResponses, upstreamOf(t, s))
	got := r.post(ask)
	require.Equal(t, 503, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.EqualValues(t, 1, s.calls.Load())
}

func TestConnectFailures(t *testing.T) {
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		for _, body := range []string{ask, askStream} {
			t.Run(string(p), func(t *testing.T) {
				r := start(t, p, "http://"+testkit.Refused(t).String())
				got := r.post(body)
				require.Equal(t, 502, got.status)
				typ, _, code := got.errorCode(t)
				require.Equal(t, []string{"server_error", "upstream_unreachable"}, []string{typ, code})
				require.NotContains(t, got.body, "127.0.0.1")
				require.EqualValues(t, 2, r.log.waitFor(t, `"msg":"request"`, "/v1/responses")["retries"])
			})
		}
	}
}

// An upstream that was there, and is not where it is said to be now.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(p), func(t *testing.T) {
			_, llm := mock(t, mockllm.Options{})
			r := start(t, p, llm)
			ready(t, r)
			next := *r.first.cfg
			next.Engine.BackendURL = "http://" + testkit.Refused(t).String()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go r.Follow(ctx, func() (*config.Config, error) { return &next, nil })
			r.log.waitFor(t, "the changed configuration is in force")
			for _, body := range []string{ask, askStream} {
				got := r.post(body)
				require.Equal(t, 503, got.status)
				require.NotEmpty(t, got.header.Get("Retry-After"))
				_, _, code := got.errorCode(t)
				require.Equal(t, "upstream_unavailable", code)
			}
			require.Equal(t, 200, r.call("GET", "/readyz", "").status, "an outage took the pod out")
		})
	}
}

// An upstream that comes back between two attempts is not noticed by clients.
func TestConnectFailureIsRetried(t *testing.T) {
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(p), func(t *testing.T) {
			addr := testkit.Refused(t)
			r := start(t, p, "http://"+addr.String(), func(c *config.Config) {
				// Enough of them that a busy machine can begin to listen before the last.
				c.Engine.Retry.BaseDelay, c.Engine.Retry.MaxAttempts = 100*time.Millisecond, 600
				c.Engine.Retry.MaxDelay = 100 * time.Millisecond
			})
			got := make(chan answer, 1)
			go func() { got <- r.post(ask) }()
			require.Eventually(t, func() bool {
				return metric(t, r, "antwort_upstream_retries_total", `reason="connect"`) >= 1
			}, guard, time.Millisecond)
			ln, err := addr.Listen()
			require.NoError(t, err)
			llm := &http.Server{Handler: chats(answering200)}
			go llm.Serve(ln) //nolint:errcheck // ends with the test
			t.Cleanup(func() { llm.Close() })
			require.Equal(t, 200, wait(t, got, "the answer").status)
		})
	}
}
