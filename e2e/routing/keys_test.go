package routing

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Keys are exchanged under load, several times: who has a valid one is never
// refused, and streams go on.
func TestKeysExchangedUnderLoad(t *testing.T) {
	llm := model(t, "model", "--tokens", "10", "--delay", "5ms")
	configuration := func(port string, keys ...string) string {
		text := "engine: {provider: vllm, backend_url: '" + llm.url + "'}\nauth:\n  type: api_key\n  api_keys:\n"
		for _, key := range keys {
			text += fmt.Sprintf("  - {sha256: %x, subject: someone}\n", sha256.Sum256([]byte(key)))
		}
		return port + text
	}
	name := func(i int) string { return fmt.Sprintf("key-number-%d-%s", i, strings.Repeat("k", 32)) }
	gateway, file := serve(t, "gateway", configuration("", name(0)))
	port := "server: {host: 127.0.0.1, port: " + gateway.url[strings.LastIndex(gateway.url, ":")+1:] + "}\n"

	const clients = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	ask := func(key string) int {
		req, err := http.NewRequest(http.MethodPost, gateway.url+"/v1/responses", strings.NewReader(stream))
		if err != nil {
			panic(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode == http.StatusOK && !strings.Contains(string(text), "\nevent: response.completed\n") {
			return 0 // half a stream is no answer
		}
		return resp.StatusCode
	}
	accepted := func(key string, status int) {
		require.Eventually(t, func() bool { return ask(key) == status }, limit, time.Millisecond, "%s was never answered %d", key, status)
	}
	// inUse is read-locked by each request: to change it waits for those under way.
	var mu sync.RWMutex
	inUse := name(0)
	var done, refused atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				if ask(inUse) != http.StatusOK {
					refused.Add(1)
				}
				mu.RUnlock()
				done.Add(1)
			}
		})
	}
	for i := range 3 {
		write(t, file, configuration(port, name(i), name(i+1)))
		accepted(name(i+1), http.StatusOK)
		mu.Lock()
		inUse = name(i + 1)
		mu.Unlock()
		write(t, file, configuration(port, name(i+1)))
		accepted(name(i), http.StatusUnauthorized)
	}
	close(stop)
	all.Wait()
	require.Zero(t, refused.Load(), "of %d", done.Load())
	t.Logf("%d requests while keys were exchanged three times", done.Load())
}
