package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// What was decided by reaches the backend, whatever Connection says of it: else it
// would read another request than was checked.
func TestConnectionHidesNothingThatWasDecidedBy(t *testing.T) {
	up := &arrivals{}
	backend := upstreamOf(t, up)
	limited := strings.Replace(aliceKey("k"), `"subject"`, `"models":["m"],"subject"`, 1)
	keys := start(t, config.VLLMResponses, backend, withKeys(t, limited))
	open := start(t, config.VLLMResponses, backend, func(c *config.Config) {
		c.Routes = []config.Route{{Name: "red", Match: config.Match{Headers: []config.HeaderMatch{{Name: "x-color", Value: "red"}}},
			Backends: []config.Backend{{URL: backend, Weight: 1}}}}
	})
	ready(t, keys)
	ready(t, open)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Content-Encoding": "identity", "X-Color": "red", "Authorization": "Bearer backend", "X-Api-Key": "backend",
		"X-Request-Id": "one", "X-Forwarded-For": "", "Content-Length": "26",
	} {
		t.Run(name, func(t *testing.T) {
			r, fields := open, ""
			if strings.HasPrefix(name, "Content-") {
				r, fields = keys, "Authorization: Bearer k\r\n"
			}
			if name != "Content-Type" && name != "Content-Length" && value != "" {
				fields += name + ": " + value + "\r\n"
			}
			conn := dial(t, r)
			conn.send("POST /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: " + strings.ToLower(name) + ", X-Secret\r\nX-Secret: 1\r\n" + fields +
				"Content-Type: application/json\r\nContent-Length: 26\r\n\r\n" + `{"model":"m","input":"hi"}`)
			got := conn.answer()
			require.Equal(t, 200, got.status, got.body)
			seen := up.take()
			require.Len(t, seen, 1)
			require.Empty(t, seen[0]["X-Secret"])
			if value == "" {
				value = "127.0.0.1"
			}
			if name != "Content-Length" { // which is not in the header as net/http tells it
				require.Equal(t, []string{value}, seen[0][name])
			}
		})
	}
}

// An answer keeps the fields by which it was read.
func TestConnectionHidesNothingOfAnAnswer(t *testing.T) {
	r := start(t, config.VLLMResponses, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Content-Type, Retry-After, X-Secret")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-Secret", "1")
		w.WriteHeader(429)
		_, _ = io.WriteString(w, `{}`)
	})))
	got := r.post(ask)
	require.Equal(t, []string{"application/json"}, got.header["Content-Type"])
	require.Equal(t, []string{"7"}, got.header["Retry-After"])
	require.Empty(t, got.header["X-Secret"])
}
