package routing

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const conversations = 200

// turn is the body of a turn of a conversation: half of them have a key, the
// others are known by how they begin.
func turn(conversation, n int) string {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"role":"user","content":"question %d of %d"}`, i, conversation),
			fmt.Sprintf(`{"role":"assistant","content":"answer %d"}`, i))
	}
	items = append(items, fmt.Sprintf(`{"role":"user","content":"question %d of %d"}`, n, conversation))
	key := ""
	if conversation%2 == 0 {
		key = fmt.Sprintf(`"prompt_cache_key":"conversation-%d",`, conversation)
	}
	return `{"model":"/mnt/models",` + key + `"input":[` + strings.Join(items, ",") + `]}`
}

// talk has every conversation go on for some turns, many at once, and returns
// which backend each turn met, by the gateway's log.
func talk(t *testing.T, gateway *program, round string, turns int) [][]string {
	t.Helper()
	const clients = 8 // as many as one backend may always have: none is passed over for its load
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	next := make(chan [2]int)
	bad := make(chan string, conversations*turns)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for c := range next {
				req, err := http.NewRequest(http.MethodPost, gateway.url+"/v1/responses", strings.NewReader(turn(c[0], c[1])))
				if err != nil {
					panic(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Request-Id", fmt.Sprintf("%s-%d-%d", round, c[0], c[1]))
				resp, err := client.Do(req)
				if err != nil {
					bad <- err.Error()
					continue
				}
				if resp.Body.Close(); resp.StatusCode != http.StatusOK {
					bad <- resp.Status
				}
			}
		})
	}
	for n := range turns {
		for c := range conversations {
			next <- [2]int{c, n}
		}
	}
	close(next)
	all.Wait()
	require.Empty(t, bad)

	met := make([][]string, conversations)
	require.Eventually(t, func() bool {
		clear(met)
		count := 0
		for line := range strings.Lines(gateway.logged()) {
			var entry struct {
				ID      string `json:"request_id"`
				Backend string `json:"backend"`
			}
			if json.Unmarshal([]byte(line), &entry) != nil || !strings.HasPrefix(entry.ID, round+"-") {
				continue
			}
			var c, n int
			_, err := fmt.Sscanf(strings.TrimPrefix(entry.ID, round), "-%d-%d", &c, &n)
			require.NoError(t, err)
			met[c] = append(met[c], entry.Backend)
			count++
		}
		return count == conversations*turns
	}, limit, limit/1000, "the log lacks requests")
	return met
}

// homes are the backends that the conversations have met most, and the part of
// all turns that met them.
func homes(met [][]string) (home []string, part float64) {
	at, all := 0, 0
	for _, backends := range met {
		count := map[string]int{}
		for _, b := range backends {
			count[b]++
		}
		best := slices.MaxFunc(slices.Sorted(maps.Keys(count)), func(a, b string) int { return count[a] - count[b] })
		home = append(home, best)
		at += count[best]
		all += len(backends)
	}
	return home, float64(at) / float64(all)
}

// A conversation meets the same backend while that is there; when one of four is
// killed, only its conversations move, and they come back with it.
func TestConversationsStayAtTheirBackend(t *testing.T) {
	var models []*program
	routes := ""
	for i := range 4 {
		models = append(models, model(t, fmt.Sprint("model-", i)))
		routes += "  - url: " + models[i].url + "\n"
	}
	gateway, _ := serve(t, "gateway", "routing: {eject_time: 200ms, max_eject_time: 200ms}\nengine: {provider: vllm}\n"+
		"routes:\n- name: r\n  balance: affinity\n  backends:\n"+routes)

	before, part := homes(talk(t, gateway, "first", 5))
	require.GreaterOrEqual(t, part, 0.95)
	count := map[string]int{}
	for _, b := range before {
		count[b]++
	}
	for _, m := range models {
		require.InDelta(t, conversations/4, count[m.url], 4*6.2, "their shares: %v", count) // four standard deviations
	}
	t.Logf("%.1f %% of 1,000 turns met the conversation's backend", 100*part)

	dead := models[1]
	dead.kill()
	during, part := homes(talk(t, gateway, "second", 3))
	require.GreaterOrEqual(t, part, 0.95)
	moved, stayed := map[string]int{}, 0
	for c := range before {
		switch {
		case before[c] == dead.url:
			moved[during[c]]++
		case before[c] == during[c]:
			stayed++
		}
	}
	require.GreaterOrEqual(t, float64(stayed), 0.95*float64(conversations-count[dead.url]), "others moved too")
	require.Len(t, moved, 3, "its share is spread over the others: %v", moved)
	t.Logf("with one of four killed its %d conversations moved, %d of the other %d stayed", count[dead.url], stayed, conversations-count[dead.url])

	dead.begin()
	for i := 0; !strings.Contains(gateway.logged(), "a backend is back"); i++ {
		require.Less(t, i, 100, "it was not tried again")
		talk(t, gateway, fmt.Sprintf("back%d", i), 1)
	}
	after, _ := homes(talk(t, gateway, "third", 3))
	same := 0
	for c := range before {
		if before[c] == after[c] {
			same++
		}
	}
	require.GreaterOrEqual(t, same, conversations*95/100, "they came back")
}
