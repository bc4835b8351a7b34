package server

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

var operations = regexp.MustCompile(`(?m)^antwort_state_operations_total\{op="(chain|get|delete|commit|cancel|events)",provider="[^"]*",result="(\w+)"\} (\d+)$`)

// asked are the operations of the store so far that requests asked for.
func asked(t *testing.T, r *running) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, m := range operations.FindAllStringSubmatch(r.call("GET", "/metrics", "").body, -1) {
		n, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		all[m[1]+" "+m[2]] = n
	}
	return all
}

// What is somebody else's is looked for as what never was: the store is asked the
// same, once, and nobody else is. So nothing is there by which a caller could tell
// the two by time.
func TestSomebodyElsesIsLookedForAsUnknown(t *testing.T) {
	nobodys := strings.Repeat("0", 28)
	cases := map[string]struct {
		method, path, body string // ID and ITEM are those of the response
		want               string // of the store
		status             int
	}{
		"read":             {"GET", "/ID", "", "get not_found", 404},
		"replay":           {"GET", "/ID?stream=true", "", "events not_found", 404},
		"delete":           {"DELETE", "/ID", "", "delete not_found", 404},
		"cancel":           {"POST", "/ID/cancel", "", "cancel not_found", 404},
		"input items":      {"GET", "/ID/input_items", "", "get not_found", 404},
		"continue":         {"POST", "", `{"model":"/mnt/models","input":"b","previous_response_id":"ID"}`, "chain not_found", 400},
		"continue, stream": {"POST", "", `{"model":"/mnt/models","input":"b","stream":true,"previous_response_id":"ID"}`, "chain not_found", 400},
		"not to be stored": {"POST", "", `{"model":"/mnt/models","input":"b","store":false,"previous_response_id":"ID"}`, "chain not_found", 400},
		"reference":        {"POST", "", `{"model":"/mnt/models","input":[{"type":"item_reference","id":"ITEM"}]}`, "get not_found", 404},
	}
	for kind, store := range storedTypes(t) {
		llm := newSeen(t)
		r := start(t, config.VLLM, llm.url, store, keysOf(t, [3]string{"alice", "a", "alice-key"}, [3]string{"bob", "b", "bob-key"}))
		ready(t, r)
		for name, c := range cases {
			t.Run(name+"/"+kind, func(t *testing.T) {
				hers := read(t, r.as("alice-key", "POST", "/v1/responses", `{"input":"a","model":"/mnt/models"}`))
				models := llm.asked()
				try := func(id, item string) (did map[string]int, told string) {
					before := asked(t, r)
					with := strings.NewReplacer("ID", id, "ITEM", item)
					a := r.as("bob-key", c.method, "/v1/responses"+with.Replace(c.path), with.Replace(c.body))
					require.Equal(t, c.status, a.status, a.body)
					did = asked(t, r)
					for op, n := range before {
						did[op] -= n
					}
					maps.DeleteFunc(did, func(_ string, n int) bool { return n == 0 })
					return did, strings.NewReplacer(id, "ID", item, "ITEM").Replace(a.body)
				}
				unknown, never := try("resp_"+nobodys, "msg_"+nobodys+"00")
				foreign, refusal := try(hers.ID, hers.Output[0].ID)
				require.Equal(t, map[string]int{c.want: 1}, unknown)
				require.Equal(t, unknown, foreign)
				require.Equal(t, never, refusal)
				require.Equal(t, models, llm.asked(), "a model was asked")
				require.Equal(t, 200, r.as("alice-key", "GET", "/v1/responses/"+hers.ID, "").status)
			})
		}
	}
}
