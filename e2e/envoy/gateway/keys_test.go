package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// Keys come and go, by digest and by variable, while one caller asks all the time
// with a key that stays: it is never refused.
func TestKeysChangeUnderLoad(t *testing.T) {
	backend := httptest.NewServer(&arrivals{})
	defer backend.Close()
	configure := func(more string) string {
		return fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: %q}\n"+
			"auth: {type: api_key, api_keys: [%s{key_env: STAYS, subject: stays}]}\n", backend.URL, more)
	}
	g := gateway.Start(t, configure(""), "STAYS=key-that-stays", "COMES=key-that-comes").Ready()
	client := manyConnections(t)
	status := func(key string) int {
		req, err := http.NewRequest(http.MethodPost, g.URL+"/v1/responses", strings.NewReader(`{"model":"m","input":"x"}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		return read(t, resp, err).status
	}
	done := make(chan struct{})
	var served atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if !assert.Equal(t, http.StatusOK, status("key-that-stays")) {
					return
				}
				served.Add(1)
			}
		})
	}
	for i, c := range []struct {
		keys  string
		comes int
	}{{"{key_env: COMES, subject: comes}, ", http.StatusOK}, {"", http.StatusUnauthorized}, {"{key_env: COMES, subject: again}, ", http.StatusOK}} {
		g.Write(configure(c.keys))
		g.Logged(i+1, "the changed configuration is in force")
		assert.Equal(t, c.comes, status("key-that-comes"))
		before := served.Load()
		require.Eventually(t, func() bool { return served.Load() > before+20 }, time.Minute, 10*time.Millisecond)
	}
	close(done)
	callers.Wait()
}
