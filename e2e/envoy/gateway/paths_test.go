package gateway_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// paths: only those of the API reach the backend, in one way of writing.
func paths(t *testing.T, g *gateway.Gateway, u *upstream) {
	for path, want := range map[string]struct {
		status   int
		upstream string // path that arrives, "" for none
	}{
		"/v1/responses":              {200, "/v1/responses"},
		"//v1/responses":             {200, "/v1/responses"},
		"/v1//responses":             {200, "/v1/responses"},
		"/./v1/responses":            {200, "/v1/responses"},
		"/x/../v1/responses":         {200, "/v1/responses"},
		"/v1/%72esponses":            {200, "/v1/responses"},
		"/v1/responses/resp_1":       {200, "/v1/responses/resp_1"},
		"/v1/models":                 {200, "/v1/models"},
		"/v1/responses?a=b":          {200, "/v1/responses"},
		"/v1%2Fresponses":            {400, ""},
		"/v1%2fresponses":            {400, ""},
		"/v1/responses%5Cx":          {400, ""},
		"/v1/responses/..%2fmodels":  {400, ""},
		"/v1/%00responses":           {400, ""},
		"/../../etc/passwd":          {404, ""},
		"/v1/responses/../../admin":  {404, ""},
		"/":                          {404, ""},
		"/v1":                        {404, ""},
		"/v1/chat/completions":       {404, ""},
		"/v1/responsesx":             {404, ""},
		"/V1/responses":              {404, ""},
		"/stats":                     {404, ""},
		"/ready":                     {404, ""},
		"/healthz/":                  {404, ""},
		"http://other/v1/embeddings": {404, ""},
	} {
		t.Run(path, func(t *testing.T) {
			before := len(u.requests())
			got := raw(t, g.URL, "GET "+path+" HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
			if strings.HasSuffix(want.upstream, "/responses") { // POST only
				got = raw(t, g.URL, "POST "+path+" HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
			}
			require.Equal(t, want.status, got.status, got.body)
			var arrived string
			if seen := u.requests(); len(seen) > before {
				arrived = seen[len(seen)-1].URL.Path
			}
			assert.Equal(t, want.upstream, arrived)
			switch got.status {
			case 404:
				assert.Equal(t, "unknown_url", got.code(t))
			case 400:
				assert.Equal(t, "invalid_request", got.code(t))
			}
		})
	}
}
