package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
	"antwort/shared/streamcheck"
)

// forgeries are fields by which a client says that it is who it is not, in all the
// spellings that somebody behind might take for the gateway's own. WHO and TEAM are
// the other one's subject and tenant.
var forgeries = map[string][]string{
	"none":                       nil,
	"as the gateway writes them": {"x-antwort-subject: WHO", "x-antwort-tenant: TEAM"},
	"the tenant alone":           {"x-antwort-tenant: TEAM"},
	"the subject alone":          {"X-Antwort-Subject: WHO"},
	"in upper case":              {"X-ANTWORT-SUBJECT: WHO", "X-ANTWORT-TENANT: TEAM"},
	"with _":                     {"x_antwort_subject: WHO", "x_antwort_tenant: TEAM"},
	"with one _":                 {"X-Antwort_Subject: WHO", "X_Antwort-Tenant: TEAM"},
	"twice":                      {"x-antwort-subject: WHO", "x-antwort-subject: WHO", "X-Antwort-Tenant: TEAM", "x-antwort-tenant: TEAM"},
	"in a list":                  {"x-antwort-subject: WHO, WHO", "x-antwort-tenant: TEAM, TEAM"},
	"named by Connection":        {"Connection: x-antwort-subject, x-antwort-tenant", "x-antwort-subject: WHO", "x-antwort-tenant: TEAM"},
	"Connection alone":           {"Connection: x-antwort-subject, x-antwort-tenant"},
	"with the rest of ours":      {"x-antwort-delegate: true", "x-antwort-owner: TEAM", "x-antwort-tenant: TEAM"},
	"as others write them":       {"X-Forwarded-User: WHO", "OpenAI-Organization: TEAM", "X-Tenant: TEAM"},
}

// Two tenants behind Envoy with the filter, which tells the server behind it who
// they are: each goes on with its own responses, and for either the other's are
// as what never was, byte for byte, whatever it says of itself.
func TestOwners(t *testing.T) {
	mock := mockllm.New(mockllm.Options{})
	var asked atomic.Int64
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked.Add(1)
			for name := range r.Header {
				if strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-antwort-") {
					assert.Contains(t, []string{"alice", "bob", "team-a", "team-b"}, strings.Join(r.Header[name], ","), name)
				}
			}
		}
		mock.ServeHTTP(w, r)
	}))
	t.Cleanup(model.Close)
	backend := startBackend(t, fmt.Sprintf("engine: {provider: vllm, backend_url: %q, default_model: /mnt/models}\nstate: {type: memory}\n"+
		"auth: {type: api_key, api_keys: [{sha256: %q, subject: front, delegate: true}]}\n", model.URL, digest("front-key")))

	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q, api_key_env: FRONT_KEY}\nfilter: {profile: %s}\n"+
				"auth: {type: api_key, api_keys: [{sha256: %q, subject: alice, tenant: team-a}, {sha256: %q, subject: bob, tenant: team-b}]}\n",
				backend, profile, digest("alice-key"), digest("bob-key")), "FRONT_KEY=front-key").Ready()
			alice, bob := &caller{t: t, url: g.URL, name: "alice", team: "team-a"}, &caller{t: t, url: g.URL, name: "bob", team: "team-b"}
			for _, c := range []*caller{alice, bob} {
				c.converse()
			}
			for _, c := range [][2]*caller{{alice, bob}, {bob, alice}} {
				me, other := c[0], c[1]
				unknown := me.try("resp_"+strings.Repeat("0", 28), "msg_"+strings.Repeat("0", 28)+"00", nil)
				assert.Contains(t, unknown[0], `404 {"error":{`)
				before := asked.Load()
				for name, fields := range forgeries {
					t.Run(me.name+", "+name, func(t *testing.T) {
						fields := other.fill(fields)
						assert.Equal(t, unknown, me.try(other.last, other.item, fields))
						assert.Equal(t, 200, me.ask("GET", "/"+me.last, "", fields...).status, "one's own are still there")
					})
				}
				assert.Equal(t, before, asked.Load(), "a model was asked")
			}
			for _, c := range []*caller{alice, bob} {
				assert.Equal(t, `200 {"id":"`+c.last+`","object":"response","deleted":true}`, c.ask("DELETE", "/"+c.last, "").text())
				assert.Equal(t, 404, c.ask("GET", "/"+c.last, "").status)
			}

			nobody := &caller{t: t, url: g.URL, name: "nobody", team: "team-a"}
			assert.Equal(t, 401, nobody.ask("GET", "/"+alice.last, "", alice.fill(forgeries["as the gateway writes them"])...).status)
			front := &caller{t: t, url: g.URL, name: "front"}
			assert.Equal(t, 401, front.ask("GET", "/"+alice.last, "", alice.fill(forgeries["as the gateway writes them"])...).status, "the gateway's own key is none of its callers'")
			for _, line := range g.Log() {
				assert.NotContains(t, line, "-key\"")
			}
		})
	}

	// At the backend itself: callers have no key there, and the gateway's must say who asks.
	alice, front := &caller{t: t, url: backend, name: "alice", team: "team-a"}, &caller{t: t, url: backend, name: "front"}
	assert.Equal(t, 401, alice.ask("POST", "", `{"input":"a"}`, alice.fill(forgeries["as the gateway writes them"])...).status)
	for name, fields := range forgeries {
		got := front.ask("POST", "", `{"input":"a"}`, alice.fill(fields)...)
		switch name {
		case "as the gateway writes them", "in upper case", "the subject alone":
			assert.Equal(t, 200, got.status, name)
		case "named by Connection":
			assert.Contains(t, []int{200, 403}, got.status, name)
		default:
			assert.Contains(t, []int{400, 401, 403}, got.status, "%s: %s", name, got.body)
		}
	}
}

// caller is a client with a key, and what it has stored.
type caller struct {
	t                *testing.T
	url, name, team  string
	last, item, text string // its newest response, an item of it, and all it has said
}

// fill writes this caller into forged fields.
func (c *caller) fill(fields []string) []string {
	filled := make([]string, len(fields))
	for i, f := range fields {
		filled[i] = strings.NewReplacer("WHO", c.name, "TEAM", c.team).Replace(f)
	}
	return filled
}

// ask sends a request about responses, with the fields as they are written.
func (c *caller) ask(method, path, body string, fields ...string) answer {
	c.t.Helper()
	lines := append([]string{method + " /v1/responses" + path + " HTTP/1.1", "Host: gateway", "Authorization: Bearer " + c.name + "-key"}, fields...)
	if body != "" {
		lines = append(lines, "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)))
	}
	return raw(c.t, c.url, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
}

func (a answer) text() string { return fmt.Sprint(a.status, " ", a.body) }

// try asks in all ways about a response and an item, and says what came, with
// neither id in it.
func (c *caller) try(id, item string, fields []string) (answers []string) {
	c.t.Helper()
	for _, q := range [][3]string{
		{"GET", "/" + id}, {"GET", "/" + id + "?stream=true"}, {"GET", "/" + id + "/input_items?limit=3"}, {"POST", "/" + id + "/cancel"},
		{"POST", "", `{"input":"b","previous_response_id":"` + id + `"}`},
		{"POST", "", `{"input":"b","stream":true,"previous_response_id":"` + id + `"}`},
		{"POST", "", `{"input":"b","store":false,"previous_response_id":"` + id + `"}`},
		{"POST", "", `{"input":[{"type":"item_reference","id":"` + item + `"}]}`},
		{"DELETE", "/" + id},
	} {
		got := c.ask(q[0], q[1], q[2], fields...)
		answers = append(answers, fmt.Sprint(got.status, " ", strings.NewReplacer(id, "ID", item, "ITEM").Replace(got.body)))
	}
	return answers
}

// converse has four turns, whole and streamed, of which each sends its own words
// only; the model tells all it received.
func (c *caller) converse() {
	c.t.Helper()
	c.last = ""
	for turn := range 4 {
		words := fmt.Sprintf("%s says %d", c.name, turn)
		body := fmt.Sprintf(`{"input":%q,"stream":%t`, words, turn%2 == 1)
		if c.last != "" {
			body += `,"previous_response_id":"` + c.last + `"`
		}
		got := c.ask("POST", "", body+"}")
		require.Equal(c.t, 200, got.status, got.body)
		resource := got.body
		if turn%2 == 1 {
			require.Empty(c.t, streamcheck.Check(strings.NewReader(got.body)))
			_, resource, _ = strings.Cut(got.body[strings.LastIndex(got.body, "\ndata: {"):], `"response":`)
			resource = strings.TrimSuffix(resource, "}\n\ndata: [DONE]\n\n")
		}
		var r struct {
			ID     string
			Output []struct {
				ID      string
				Content []struct{ Text string }
			}
		}
		require.NoError(c.t, json.Unmarshal([]byte(resource), &r), resource)
		assert.Equal(c.t, "200 "+resource, c.ask("GET", "/"+r.ID, "").text(), "what was stored is what was told")
		c.last, c.item, c.text = r.ID, r.Output[0].ID, r.Output[0].Content[0].Text
	}
	for turn := range 4 {
		assert.Contains(c.t, c.text, fmt.Sprintf(`%d user: "%s says %d"`, 2*turn+1, c.name, turn))
	}
}

func digest(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }

// startBackend runs antwort serve until the test ends and returns its URL.
func startBackend(t *testing.T, config string) string {
	t.Helper()
	port := gateway.FreePort(t)
	file := filepath.Join(t.TempDir(), "backend.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "server: {host: 127.0.0.1, port: %d}\n%s", port, config), 0o600))
	p, err := chain.StartProcess(context.Background(), "backend", file+".log", checkout.Antwort(t), "serve", "--config", file)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Stop()) })
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	require.NoError(t, p.WaitReady(t.Context(), url+"/readyz", time.Minute))
	return url
}
