package routing

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of 2,000 requests the weights 3 and 1 give three quarters to the first, one
// after the other as well as many at once. The bound is three standard
// deviations of a choice by chance; turns do better than chance. With many at
// once the models take their time, so that they are equally fast: else the
// slower one gets less.
func TestWeightsAreKept(t *testing.T) {
	const requests, share = 2000, 0.75
	bound := 3 * math.Sqrt(requests*share*(1-share))
	for _, clients := range []int{1, 16} {
		t.Run(fmt.Sprint(clients, " at once"), func(t *testing.T) {
			var slow []string
			if clients > 1 {
				slow = []string{"--header-delay", "20ms"}
			}
			heavy, light := model(t, "heavy", slow...), model(t, "light", slow...)
			gateway, _ := serve(t, "gateway", "engine: {provider: vllm}\n"+
				"routes: [{name: r, backends: [{url: '"+heavy.url+"', weight: 3}, {url: '"+light.url+"'}]}]\n")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			var all sync.WaitGroup
			bad := make(chan result, requests)
			for range clients {
				all.Go(func() {
					for range requests / clients {
						if r := post(client, gateway.url, `{"model":"/mnt/models","input":"hello"}`); r.status != http.StatusOK {
							bad <- r
						}
					}
				})
			}
			all.Wait()
			require.Empty(t, bad)
			got := heavy.requests()
			require.Equal(t, requests, got+light.requests())
			require.InDelta(t, requests*share, got, bound)
			t.Logf("%d of %d", got, requests)
		})
	}
}
