package filter_test

import (
	"strings"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// A caller with certain models sees no others, and names none where nobody looks.
func TestOfOtherModelsNothingIsSeen(t *testing.T) {
	const upstreamList = `{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"},{"id":"n","object":"model"}]}`
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			if provider == "vllm-responses" && profile == "inline" {
				continue // is refused at the start
			}
			t.Run(provider+"/"+profile, func(t *testing.T) {
				up := newUpstream(gives(200, "application/json", upstreamList))
				h := start(t, config(provider, profile, "auth.type", `"api_key"`, "auth.api_keys", carolKeys), up, func(o *filtertest.Options) {
					o.ResponseSplit = filtertest.Every(16)
				})
				get := func(method, path, body string) got {
					if body == "" {
						return do(t, h, method, path, nil, "X-Api-Key", aliceKey)
					}
					return do(t, h, method, path, strings.NewReader(body), "X-Api-Key", aliceKey)
				}
				list := get("GET", "/v1/models", "")
				require.Equal(t, 200, list.status)
				require.JSONEq(t, `{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm"}]}`, list.body)
				require.Equal(t, 200, get("GET", "/v1/models/m", "").status)
				asked := up.count()
				for _, path := range []string{"/v1/models/n", "/v1/models/%6e", "/v1/models/m%20"} {
					other := get("GET", path, "")
					require.Equal(t, 404, other.status, path)
					require.Equal(t, "model_not_found", errorOf(t, other.body).Code)
				}
				cancel := get("POST", "/v1/responses/resp_1/cancel", `{"model":"n"}`)
				if provider == "vllm" {
					require.Equal(t, 404, cancel.status)
				} else {
					require.Equal(t, 400, cancel.status)
					require.Equal(t, "unexpected_body", errorOf(t, cancel.body).Code)
				}
				wait(t, h)
				require.Equal(t, asked, up.count(), "the upstream was asked")
				if provider == "vllm-responses" {
					require.Equal(t, 200, get("POST", "/v1/responses/resp_1/cancel", "").status)
				}

				for name, answer := range map[string]string{"no JSON": "oops", "no list": `{"data":{}}`, "too long": `{"data":[` + strings.Repeat(" ", 2<<20) + `]}`} {
					up.set(gives(200, "application/json", answer))
					none := get("GET", "/v1/models", "")
					require.True(t, none.cut || none.status == 502, name)
					require.NotContains(t, none.body, "n\"", name)
				}
				up.set(gives(503, "application/json", `{"error":{"message":"busy","type":"x","param":null,"code":null}}`))
				require.Equal(t, 503, get("GET", "/v1/models", "").status)
				wait(t, h)
				nothingIsHeld(t, h)
				require.Zero(t, h.Counter("antwort.panics_total"))
			})
		}
	}
}

// What steers Envoy, or says something in its name, is not a client's to say.
func TestFieldsOfEnvoyAreNotTheClients(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		up := newUpstream(gives(200, "application/json", chatHello))
		h := start(t, config(provider, "inline"), up)
		require.Equal(t, 200, post(t, h, hello, "X-Envoy-Attempt-Count", "7", "X-Envoy-Peer-Metadata", "x", "x-envoy-original-dst-host", "10.0.0.1:1",
			"X-Envoy-Retry-On", "5xx", "X-Envoy-External-Address", "1.2.3.4", "X-Other", "stays").status)
		r, _ := up.last()
		for _, name := range []string{"X-Envoy-Attempt-Count", "X-Envoy-Peer-Metadata", "X-Envoy-Original-Dst-Host", "X-Envoy-Retry-On"} {
			require.NotContains(t, r.Header, name)
		}
		require.Equal(t, "stays", r.Header.Get("X-Other"))
		require.Equal(t, "1.2.3.4", r.Header.Get("X-Envoy-External-Address"))
	}
}
