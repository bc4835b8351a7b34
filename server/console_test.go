package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/observe"
	"antwort/shared/config"
)

// asPage are the fields that the console's page sends.
var asPage = []string{"X-Antwort-Console", "1", "Content-Type", "application/json"}

// shown reads what the bench shows of a request: the names of the events, and their data.
func shown(t *testing.T, a *running, question string) (names []string, data map[string]string) {
	t.Helper()
	got := a.call("POST", "/console/api/trial", question, asPage...)
	require.Equal(t, 200, got.status, got.body)
	data = map[string]string{}
	for block := range strings.SplitSeq(strings.TrimSuffix(got.body, "\n\n"), "\n\n") {
		name, text, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		require.True(t, ok, block)
		names = append(names, name)
		var piece struct{ Text, Body string }
		require.NoError(t, json.Unmarshal([]byte(text), &piece))
		if data[name] += piece.Text + piece.Body; name == "end" || name == "head" {
			data[name] = text
		}
	}
	return names, data
}

func trialOf(body, as string) string { return fmt.Sprintf(`{"body":%q,"as":%s}`, body, as) }

// The bench shows what goes upstream, what comes back and what becomes of it, of the
// exchange itself.
func TestTheBenchShowsAStreamedRequest(t *testing.T) {
	up := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
		sending(w)(chatRole + chatText("<b>hi</b>") + chatFinish + chatUsage + chatDone)
	}))
	r := start(t, config.VLLM, up, withAdmin)
	names, data := shown(t, admin(t, r), trialOf(askStream, "{}"))
	require.Equal(t, "upstream", names[0])
	require.Equal(t, "end", names[len(names)-1])
	require.Contains(t, data["upstream"], `"messages":[{"role":"user","content":"hi"}]`)
	require.Equal(t, chatRole+chatText("<b>hi</b>")+chatFinish+chatUsage+chatDone, data["chunk"])
	checkStream(t, data["answer"])
	require.Contains(t, data["end"], `"problems":[]`)
	require.Contains(t, data["end"], `"route":"default"`)
	require.Contains(t, data["end"], `"input":3,"output":2,"counted":true`)
	require.NotContains(t, data["end"], "failure")
}

func TestTheBenchShowsAWholeAnswer(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) { answering(w) })), withAdmin)
	names, data := shown(t, admin(t, r), trialOf(ask, "{}"))
	require.Equal(t, []string{"upstream", "chunk", "head", "answer", "end"}, names)
	require.Contains(t, data["answer"], `"object":"response"`)
	require.NotContains(t, data["end"], "verdict")
}

func TestTheBenchShowsARefusal(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin)
	names, data := shown(t, admin(t, r), trialOf(`{"model":"m","input":"hi","temperature":9}`, "{}"))
	require.Equal(t, []string{"head", "answer", "end"}, names, "nothing has gone upstream")
	require.Contains(t, data["answer"], `"param":"temperature"`)
	require.Contains(t, data["end"], `"failure":"invalid_request"`)
}

func TestTheBenchForwards(t *testing.T) {
	r := start(t, config.VLLMResponses, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"resp_1"}`) })), withAdmin)
	_, data := shown(t, admin(t, r), trialOf(ask, "{}"))
	require.Equal(t, ask, data["upstream"])
	require.Equal(t, `{"id":"resp_1"}`, data["answer"])
}

// The bench sends as a caller of the configuration, with what that one may and no more.
func TestTheBenchSendsAsACaller(t *testing.T) {
	seen := &arrivals{}
	r := start(t, config.VLLM, upstreamOf(t, seen), withAdmin, withKeys(t, fmt.Sprintf(
		`{"type":"api_key","api_keys":[{"sha256":"%064x","subject":"ann","tenant":"a","models":["m"]},{"sha256":"%064x","subject":"bob","models":["other"]}]}`, 1, 2)))
	a := admin(t, r)
	got := a.call("GET", "/console/api/callers", "", asPage...)
	require.JSONEq(t, `{"auth":"api_key","callers":[{"subject":"ann","tenant":"a","models":["m"],"delegate":false},{"subject":"bob","tenant":"","models":["other"],"delegate":false}],"models":[],"port":8080,"tls":false}`, got.body)
	_, data := shown(t, a, trialOf(ask, `{"key":0}`))
	require.NotContains(t, data["end"], "failure")
	_, data = shown(t, a, trialOf(ask, `{"key":1}`))
	require.Contains(t, data["end"], "forbidden_model")
	require.Equal(t, 400, a.call("POST", "/console/api/trial", trialOf(ask, `{"key":2}`), asPage...).status)
	require.Equal(t, 400, a.call("POST", "/console/api/trial", trialOf(ask, `{}`), asPage...).status, "nobody is not a caller")
	require.Equal(t, 401, r.post(ask).status, "the server's own port asks as ever")
}

// What the console says of a request is what the server decides.
func TestTheConsoleDecidesAsTheServer(t *testing.T) {
	one, two := upstreamOf(t, &arrivals{}), upstreamOf(t, &arrivals{})
	r := start(t, config.VLLM, two, withAdmin, func(c *config.Config) {
		c.Routes = []config.Route{{Name: "first", Balance: config.LeastRequest, Match: config.Match{Models: []string{"a-*"}, Headers: []config.HeaderMatch{{Name: "x-team", Value: "t"}}}, Backends: []config.Backend{{URL: one, Weight: 1}}}}
	})
	a := admin(t, r)
	require.Contains(t, a.call("GET", "/console/api/routes", "", asPage...).body, `"headers":[["x-team","t"]]`)
	for question, want := range map[string]string{
		`{"model":"a-1","headers":[["X-Team","t"]]}`: `{"route":0,"model":"a-1","lacks":["",""]}`,
		`{"model":"a-1"}`:                                           `{"route":1,"model":"a-1","lacks":["header x-team",""]}`,
		`{"model":"b","headers":[["x-team","t"]]}`:                  `{"route":1,"model":"b","lacks":["model",""]}`,
		`{"model":"a-1","headers":[["x-team","t"],["x-team","t"]]}`: `{"route":1,"model":"a-1","lacks":["header x-team",""]}`,
	} {
		require.JSONEq(t, want, a.call("POST", "/console/api/decide", question, asPage...).body, question)
	}
}

// The console changes nothing, and answers nobody but its page.
func TestTheConsoleAnswersItsPageOnly(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin)
	a := admin(t, r)
	require.Equal(t, 200, a.call("GET", "/console", "").status)
	require.Equal(t, 404, r.call("GET", "/console", "").status, "it is on the admin port only")
	require.Equal(t, 403, a.call("POST", "/console/api/trial", trialOf(ask, "{}"), "Content-Type", "application/json").status)
	require.Equal(t, 403, a.call("GET", "/console/api/about", "", append([]string{"Origin", "https://evil.example"}, asPage...)...).status)
	require.Equal(t, 415, a.call("POST", "/console/api/trial", trialOf(ask, "{}"), "X-Antwort-Console", "1", "Content-Type", "text/plain").status)
	require.Equal(t, 421, a.raw([]byte("GET /console/api/about HTTP/1.1\r\nHost: evil.example\r\nX-Antwort-Console: 1\r\nConnection: close\r\n\r\n")).status)
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		require.Equal(t, 405, a.call(method, "/console/api/routes", "", asPage...).status, method)
	}
}

// The token is that of the configuration in force.
func TestTheConsoleFollowsItsToken(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withAdmin)
	a := admin(t, r)
	require.Equal(t, 200, a.call("GET", "/console/api/about", "", asPage...).status)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("secret-token\n"), 0o600))
	next, err := config.Load(config.Sources{JSON: r.inForce.Load().cfg.AppendJSON(nil), ReadFile: os.ReadFile, LookupEnv: func(name string) (string, bool) {
		if name != "ANTWORT_ADMIN_TOKEN_FILE" {
			return "", false
		}
		return file, true
	}})
	require.NoError(t, err)
	require.NoError(t, r.change(t.Context(), next))
	require.Equal(t, 401, a.call("GET", "/console/api/about", "", asPage...).status)
	require.Equal(t, 200, a.call("GET", "/console/api/about", "", append([]string{"Authorization", "Bearer secret-token"}, asPage...)...).status)
	require.Equal(t, 200, a.call("GET", "/metrics", "").status, "the others ask for nothing")
}

// A request is among those in flight while its backend is asked, with its model and route.
func TestTheConsoleSeesWhatIsInFlight(t *testing.T) {
	seen := make(chan []observe.Flight, 1)
	var r *running
	up := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
		seen <- r.observer.Flights(10)
		answering(w)
	}))
	r = start(t, config.VLLM, up, withAdmin)
	got := r.post(ask, "X-Request-Id", "mine")
	require.Equal(t, 200, got.status)
	flights := <-seen
	require.Len(t, flights, 1)
	require.Equal(t, "mine", flights[0].ID)
	require.Equal(t, "/v1/responses", flights[0].Endpoint)
	require.Equal(t, "m", flights[0].Model)
	require.Equal(t, "default", flights[0].Route)
}
