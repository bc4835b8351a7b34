package filter_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"antwort/filter/filtertest"
	"antwort/shared/corpus"

	"github.com/stretchr/testify/require"
)

// guarded is a configuration that asks for the corpus's keys.
func guarded(t *testing.T, all *corpus.Access, provider, profile string) []byte {
	t.Helper()
	var auth map[string]any
	require.NoError(t, json.Unmarshal(all.Auth, &auth))
	if provider == "vllm-responses" && profile == "inline" {
		for _, key := range auth["api_keys"].([]any) {
			delete(key.(map[string]any), "models") // refused there
		}
	}
	b, err := json.Marshal(map[string]any{"engine": map[string]any{"provider": provider}, "filter": map[string]any{"profile": profile}, "auth": auth})
	require.NoError(t, err)
	return b
}

// raw sends bytes and reads one answer.
func raw(t *testing.T, h *filtertest.Host, wire []byte) got {
	t.Helper()
	u, err := url.Parse(h.URL)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = conn.Write(wire)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, nil, string(b), err != nil}
}

// The cases that package policy and the native server run too.
func TestAccessCorpus(t *testing.T) {
	all, err := corpus.LoadAccess()
	require.NoError(t, err)
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			up := newUpstream(nil)
			h := start(t, guarded(t, all, provider, profile), up)
			for _, c := range all.Cases {
				carol := c.Subject == "carol" || c.Status != 200 && c.Status != 401
				if c.Only != "" && c.Only != provider || carol && provider == "vllm-responses" && profile == "inline" {
					continue
				}
				t.Run(provider+"/"+profile+"/"+c.Name, func(t *testing.T) {
					up.set(gives(200, "application/json", chatHello))
					got := raw(t, h, c.Wire("gateway.example"))
					wait(t, h)
					if c.Status != 200 && got.status == 400 && !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
						require.Zero(t, up.count())
						return // the host's HTTP itself refuses it
					}
					require.Equal(t, c.Status, got.status, got.body)
					if c.Status != 200 {
						e := errorOf(t, got.body)
						require.Equal(t, [2]string{c.Code, c.Param}, [2]string{e.Code, e.Param}, got.body)
						require.Empty(t, up.finished(), "it reached the upstream")
						if c.Status == 401 {
							require.Equal(t, "Bearer", got.header.Get("Www-Authenticate"))
						}
						if c.Status == 401 || profile == "gated" {
							require.Zero(t, up.count(), "the upstream saw it begin")
						}
						return
					}
					require.Len(t, up.finished(), 1)
					r, body := up.last()
					require.Equal(t, []string{c.Subject}, r.Header["X-Antwort-Subject"])
					require.Equal(t, c.Tenant, strings.Join(r.Header["X-Antwort-Tenant"], ","))
					require.Empty(t, r.Header["Authorization"], "the client's key is not for the upstream")
					require.Empty(t, r.Header["X-Api-Key"], "the client's key is not for the upstream")
					require.NotContains(t, fmt.Sprint(r.Header), "root", "a forged identity passed")
					if provider == "vllm-responses" {
						require.Equal(t, c.Body, body, "the body is forwarded as it came")
					}
				})
			}
			for _, line := range h.Logs() {
				require.NotContains(t, line.Message, "-key-", "a key is in the log")
			}
			require.NotZero(t, h.Counter("antwort.failures_total.unauthorized"))
			require.Zero(t, h.Counter("antwort.panics_total"))
			nothingIsHeld(t, h)
		}
	}
}

const (
	aliceKey    = "alice-key-2f9a41c7"
	aliceDigest = `"sha256":"1a9ac370d2701f15a3a125d057d6db3a74582ba48eecb4e411bf4db9804df6c3","subject":"alice"`
	aliceKeys   = `[{` + aliceDigest + `}]`
	carolKeys   = `[{` + aliceDigest + `,"models":["m"]}]`
)

// Paths beyond the API ask for the same key, and go on without it.
func TestOtherPathsNeedTheKey(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		up := newUpstream(gives(200, "text/plain", "inside"))
		h := start(t, config(provider, "inline", "engine.api_key", `"sk-own"`, "auth.type", `"api_key"`, "auth.api_keys", aliceKeys), up)
		for _, path := range []string{"/", "/healthz", "/metrics", "/v1/models", "/v1/chat/completions", "/v1/embeddings"} {
			require.Equal(t, 401, do(t, h, "GET", path, nil).status, path)
			require.Zero(t, up.count(), path)
			require.Equal(t, 200, do(t, h, "GET", path, nil, "X-Api-Key", aliceKey, "X-Antwort-Subject", "root").status, path)
			r, _ := up.last()
			require.Equal(t, []string{"alice"}, r.Header["X-Antwort-Subject"])
			require.Empty(t, r.Header["X-Api-Key"])
			want := ""
			if path == "/v1/models" {
				want = "Bearer sk-own"
			}
			require.Equal(t, want, r.Header.Get("Authorization"), path)
			up.set(gives(200, "text/plain", "inside"))
		}
	}
}

// Which credential the upstream gets.
func TestCredentialForTheUpstream(t *testing.T) {
	for name, test := range map[string]struct {
		keys []string
		want string
	}{
		"kept":              {[]string{"auth.type", `"api_key"`, "auth.api_keys", aliceKeys}, ""},
		"our own":           {[]string{"auth.type", `"api_key"`, "auth.api_keys", aliceKeys, "engine.api_key", `"sk-own"`}, "Bearer sk-own"},
		"the same for both": {[]string{"auth.type", `"api_key"`, "auth.api_keys", aliceKeys, "engine.api_key", `"` + aliceKey + `"`}, "Bearer " + aliceKey},
		"forwarded":         {[]string{"auth.type", `"api_key"`, "auth.api_keys", aliceKeys, "auth.forward_credential", "true"}, "Bearer " + aliceKey},
		"nobody asks":       {nil, "Bearer " + aliceKey},
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(gives(200, "application/json", "{}"))
			h := start(t, config("vllm-responses", "inline", test.keys...), up)
			require.Equal(t, 200, post(t, h, hello, "Authorization", "Bearer "+aliceKey, "X-Antwort-Subject", "root", "X-Antwort-Tenant", "all").status)
			r, _ := up.last()
			require.Equal(t, test.want, r.Header.Get("Authorization"))
			require.NotEqual(t, "root", r.Header.Get("X-Antwort-Subject"), "a forged identity passed")
			require.Empty(t, r.Header.Get("X-Antwort-Tenant"), "a forged identity passed")
		})
	}
}

// A panic while a caller is looked for lets nothing through, in either profile.
func TestPanicWhileIdentifyingFailsClosed(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			up := newUpstream(gives(200, "application/json", chatHello))
			h := filtertest.New(t, panicking, filtertest.Options{Upstream: up, AllowOnHeadersStopIteration: profile == "gated",
				Configuration: config(provider, profile, "auth.type", `"api_key"`, "auth.api_keys", aliceKeys)})
			for _, path := range []string{"/v1/responses", "/v1/models", "/other"} {
				got := do(t, h, "POST", path, strings.NewReader(hello), "X-Api-Key", aliceKey, "X-Panic-In", "identify")
				require.Equal(t, 500, got.status)
				require.Zero(t, up.count(), "the upstream saw it")
			}
			require.Equal(t, 200, post(t, h, hello, "X-Api-Key", aliceKey).status, "the VM does not live on")
		}
	}
}

// The body of a caller with certain models is read in any pieces, and goes on
// as it came.
func TestCheckedBodies(t *testing.T) {
	big := `{"input":"` + strings.Repeat("x", 3<<20) + `", "model" : "m" }`
	other := strings.Replace(big, `"m"`, `"n"`, 1)
	for _, split := range []int{0, 1000, 64 << 10} {
		up := newUpstream(gives(200, "application/json", "{}"))
		h := start(t, config("vllm-responses", "gated", "auth.type", `"api_key"`, "auth.api_keys", carolKeys, "limits.request_body_bytes", `"4MiB"`), up,
			func(o *filtertest.Options) { o.RequestSplit = filtertest.Every(split) })
		for _, body := range []io.Reader{strings.NewReader(big), unsized(big), unsized(big + " \r\n")} {
			up.set(gives(200, "application/json", "{}"))
			got := do(t, h, "POST", "/v1/responses", body, "X-Api-Key", aliceKey)
			require.Equal(t, 200, got.status, got.body)
			_, came := up.last()
			require.Equal(t, big, strings.TrimRight(came, " \r\n"))
		}
		for _, c := range []struct {
			body   io.Reader
			status int
			code   string
		}{
			{strings.NewReader(other), 404, "model_not_found"},
			{unsized(other), 404, "model_not_found"},
			{unsized(big + `{"model":"n"}`), 400, "invalid_json"},
			{unsized(big[:len(big)-1] + `,"model":"n"}`), 400, "duplicate_parameter"},
			{unsized(`{"x":"` + strings.Repeat("x", 2<<20) + `",` + big[1:]), 413, "request_too_large"},
			{unsized(strings.Repeat(" ", 2<<20) + big), 400, "limit_exceeded"},
			{unsized(""), 400, "invalid_json"},
			{unsized(`{"model":"m"`), 400, "invalid_json"},
		} {
			up.set(gives(200, "application/json", "{}"))
			got := do(t, h, "POST", "/v1/responses", c.body, "X-Api-Key", aliceKey)
			require.Equal(t, c.status, got.status, got.body)
			require.Equal(t, c.code, errorOf(t, got.body).Code)
			wait(t, h)
			require.Empty(t, up.finished(), "a request that was refused reached the upstream whole")
		}
		nothingIsHeld(t, h)
	}
}

// Keys may come by the VM's environment. What the filter cannot keep to, it
// does not start with.
func TestKeysOfThePlugin(t *testing.T) {
	up := newUpstream(gives(200, "application/json", chatHello))
	h := start(t, config("vllm", "inline", "auth.type", `"api_key"`, "auth.api_keys", `[{"key_env":"ALICE","subject":"alice"}]`), up,
		func(o *filtertest.Options) { o.Env = map[string]string{"ALICE": "sk-alice\n"} })
	require.Equal(t, 401, post(t, h, hello).status)
	require.Equal(t, 200, post(t, h, hello, "X-Api-Key", "sk-alice").status)

	for problem, cfg := range map[string][]byte{
		"auth.api_keys[0].key_file: the filter sees no files":            config("vllm", "inline", "auth.type", `"api_key"`, "auth.api_keys", `[{"key_file":"/run/key","subject":"a"}]`),
		"auth.api_keys[0].key_env: the environment variable GONE is not": config("vllm", "inline", "auth.type", `"api_key"`, "auth.api_keys", `[{"key_env":"GONE","subject":"a"}]`),
		"auth.api_keys[0].models: the filter reads the model":            config("vllm-responses", "inline", "auth.type", `"api_key"`, "auth.api_keys", carolKeys),
		"auth.api_keys: must be set":                                     config("vllm", "inline", "auth.type", `"api_key"`),
		"keys are not written in the configuration":                      config("vllm", "inline", "auth.type", `"api_key"`, "auth.api_keys", `[{"key":"HUSH","subject":"a"}]`),
	} {
		_, err := filtertest.Start(module, filtertest.Options{Configuration: cfg})
		require.ErrorContains(t, err, problem)
		require.NotContains(t, err.Error(), "HUSH")
	}
}
