package envoyrun

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeAdmin answers on a Unix socket as Envoy's admin interface does.
func fakeAdmin(t *testing.T, h http.HandlerFunc) *admin {
	t.Helper()
	folder, err := os.MkdirTemp("", "a") // short: the path of a socket is limited
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	ln, err := net.Listen("unix", filepath.Join(folder, "admin"))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	a := newAdmin(ln.Addr().String())
	t.Cleanup(a.client.CloseIdleConnections)
	return a
}

func TestStatistics(t *testing.T) {
	a := fakeAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("filter") {
		case `^listener_manager\.lds\.version_text$`:
			_, _ = w.Write([]byte("listener_manager.lds.version_text: \"ab: c\"\n"))
		case `^lds\.update_rejected$`:
			_, _ = w.Write([]byte("lds.update_rejected: 12\n"))
		}
	})
	text, err := a.text(t.Context(), "listener_manager.lds.version_text")
	require.NoError(t, err)
	assert.Equal(t, "ab: c", text)
	n, err := a.number(t.Context(), "lds.update_rejected")
	require.NoError(t, err)
	assert.EqualValues(t, 12, n)
	n, err = a.number(t.Context(), "unknown")
	require.NoError(t, err)
	assert.Zero(t, n)
	_, err = a.number(t.Context(), "listener_manager.lds.version_text")
	require.ErrorContains(t, err, "is no number")
}

func TestAdminFails(t *testing.T) {
	a := fakeAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("no such\nthing"))
	})
	_, err := a.stat(t.Context(), "x")
	require.ErrorContains(t, err, "envoy answers 404 Not Found to /stats")
	require.ErrorContains(t, err, "no such")
}

func TestListener(t *testing.T) {
	a := fakeAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"listener_statuses":[{"name":"upstream","local_address":{"pipe":{"path":"/x"}}},
			{"name":"api","local_address":{"socket_address":{"address":"0.0.0.0","port_value":8080}}}]}`))
	})
	at, err := a.listener(t.Context(), "api")
	require.NoError(t, err)
	assert.Equal(t, "0.0.0.0:8080", at)
	_, err = a.listener(t.Context(), "other")
	require.ErrorContains(t, err, "envoy has no listener other")
}

func TestIdle(t *testing.T) {
	answers := func(active ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("filter") != `^http\.api\.downstream_rq_active$` {
				return // no bytes are unsent
			}
			_, _ = w.Write([]byte(activeRequests + ": " + active[0] + "\n"))
			if len(active) > 1 {
				active = active[1:]
			}
		}
	}
	t.Run("when requests end", func(t *testing.T) {
		left, err := fakeAdmin(t, answers("2", "1", "0")).idle(t.Context(), nil)
		require.NoError(t, err)
		assert.Zero(t, left)
	})
	t.Run("when the time is over", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*pollInterval)
		defer cancel()
		left, err := fakeAdmin(t, answers("3")).idle(ctx, nil)
		require.NoError(t, err)
		assert.EqualValues(t, 3, left)
	})
	t.Run("when Envoy ends", func(t *testing.T) {
		ended := make(chan struct{})
		close(ended)
		begin := time.Now()
		_, err := fakeAdmin(t, answers("3")).idle(t.Context(), ended)
		require.NoError(t, err)
		assert.Less(t, time.Since(begin), time.Minute)
	})
}
