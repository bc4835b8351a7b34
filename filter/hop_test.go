package filter_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request that has passed the filter and comes back is refused, whatever it is
// for; one that others have passed on goes on with another mark.
func TestLoops(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range []string{"inline", "gated"} {
			up := newUpstream(gives(200, "application/json", chatHello))
			h := start(t, routed(provider, profile, "", "[]", ""), up)
			require.Equal(t, 200, post(t, h, `{"model":"m","input":"hi"}`, "cdn-loop", "other").status)
			r, _ := up.last()
			marks := r.Header["Cdn-Loop"]
			require.Len(t, marks, 2)
			require.Equal(t, "other", marks[0])
			require.True(t, strings.HasPrefix(marks[1], "antwort-"), marks[1])
			before := up.count()
			for _, path := range []string{"/v1/responses", "/v1/models", "/other"} {
				got := do(t, h, http.MethodPost, path, strings.NewReader(`{"model":"m","input":"hi"}`), "cdn-loop", strings.Join(marks, ", "))
				require.Equal(t, 508, got.status, path)
				e := errorOf(t, got.body)
				require.Equal(t, [2]string{"server_error", "loop_detected"}, [2]string{e.Type, e.Code})
			}
			require.Equal(t, before, up.count(), "the upstream saw it again")
			wait(t, h)
			nothingIsHeld(t, h)
		}
	}
}
