package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// A request that another backend gets has to be held until then, however long it is: that
// is not left to how much Envoy reads at a time.
func TestLongRequestsAreSentAgain(t *testing.T) {
	for _, c := range []struct{ provider, profile string }{
		{"vllm", "inline"}, {"vllm", "gated"}, {"vllm-responses", "gated"}, // of the fourth nobody knows what it does
	} {
		t.Run(c.provider+"/"+c.profile, func(t *testing.T) {
			busy, well := newMember(t, "busy", 0), newMember(t, "well", 0)
			busy.busy.Store(http.StatusServiceUnavailable)
			g := gateway.Start(t, fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0}
engine: {provider: %s}
filter: {profile: %s}
routes:
- name: pair
  match: {headers: {x-pair: a}}
  backends: [{url: "http://%s"}, {url: "http://%s", priority: 1}]
`, c.provider, c.profile, busy.at, well.at)).Ready()
			body := `{"model":"m","store":false,"input":"` + strings.Repeat("word ", 4<<20) + `"}`
			r, err := http.NewRequest(http.MethodPost, g.URL+"/v1/responses", strings.NewReader(body))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Pair", "a")
			resp, err := http.DefaultClient.Do(r)
			got := read(t, resp, err)
			require.Equal(t, http.StatusOK, got.status, got.body[:min(len(got.body), 500)])
			assert.Equal(t, "well", got.header.Get("X-Backend"))
			assert.EqualValues(t, 1, busy.served.Load(), "it had all of it first")
			assert.EqualValues(t, 1, well.served.Load())
		})
	}
}

// An only backend that has no time gets a request again, which is longer than what Envoy reads
// of a request at a time.
func TestRequestsAreSentAgainToOneBackend(t *testing.T) {
	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			var asked atomic.Int64
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost {
					return
				}
				if asked.Add(1) == 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				modelServer(nil)(w, r)
			}))
			defer up.Close()
			g := gateway.Start(t, fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0}
engine: {provider: vllm, backend_url: %q}
filter: {profile: %s}
`, up.URL, profile)).Ready()
			got := post(t, g.URL+"/v1/responses", `{"model":"m","store":false,"input":"`+strings.Repeat("word ", 160<<10)+`"}`)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.EqualValues(t, 2, asked.Load())
		})
	}
}
