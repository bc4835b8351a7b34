package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// named is a Responses endpoint that answers with its name, a stream only when
// it is released.
func named(t *testing.T, name string, release <-chan struct{}) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done(): // the test has failed
				return
			}
			io.WriteString(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{}}\n\n")
			return
		}
		io.WriteString(w, `{"name":"`+name+`"}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestChangedConfiguration(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	one, two := named(t, "one", release), named(t, "two", nil)
	r := start(t, config.VLLMResponses, one)

	type loaded struct {
		cfg *config.Config
		err error
	}
	var file atomic.Pointer[loaded]
	with := func(edit func(*config.Config)) *loaded {
		c := *r.first.cfg
		edit(&c)
		return &loaded{cfg: &c}
	}
	file.Store(with(func(*config.Config) {}))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.Follow(ctx, func() (*config.Config, error) { l := file.Load(); return l.cfg, l.err })

	ask := func() string {
		resp, err := http.Post(r.url+"/v1/responses", "application/json", strings.NewReader(`{"input":"x"}`))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	assert.Contains(t, ask(), "one")
	stream, err := http.Post(r.url+"/v1/responses", "application/json", strings.NewReader(`{"input":"x","stream":true}`))
	require.NoError(t, err)
	defer stream.Body.Close()

	file.Store(&loaded{err: errors.New("antwort.yaml:2:3: engine.provdier: unknown key")})
	r.log.waitFor(t, "the old one stays in force", "provdier")
	assert.Contains(t, ask(), "one")
	file.Store(with(func(c *config.Config) { c.Engine.Provider = config.VLLM }))
	r.log.waitFor(t, "the old one stays in force", "needs a restart")
	assert.Contains(t, ask(), "one")

	file.Store(with(func(c *config.Config) { c.Engine.BackendURL = two }))
	r.log.waitFor(t, "the changed configuration is in force")
	assert.Contains(t, ask(), "two")

	close(release)
	body, err := io.ReadAll(stream.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), "event: response.completed", "a stream in flight goes on with the old configuration")

	r.stop()
	r.drained()
	assert.Eventually(t, func() bool { return r.draining.Load() }, guard, time.Millisecond)
}

// A backend that is not there yet, and then not in the configuration any more,
// is left alone.
func TestBackendsOfTheOldConfigurationAreNotAskedAnyMore(t *testing.T) {
	t.Parallel()
	greeted, let := make(chan struct{}, 10), make(chan struct{}, 10)
	old := upstreamOf(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		greeted <- struct{}{}
		<-r.Context().Done()
		let <- struct{}{}
	}))
	r := start(t, config.VLLMResponses, old)
	wait(t, greeted, "the greeting")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	next := *r.first.cfg
	next.Engine.BackendURL = named(t, "new", nil)
	go r.Follow(ctx, func() (*config.Config, error) { return &next, nil })
	r.log.waitFor(t, "the changed configuration is in force")
	wait(t, let, "the greeting's end")
	r.stop()
	r.drained()
	assert.NotContains(t, r.log.String(), "no contact with the upstream yet", "the greeting was not ended, it took too long")
	assert.Empty(t, greeted)
}
