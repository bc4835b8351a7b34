package filter_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// Streams of a VM read their chunks into the same memory, one after the other, and
// have the memory of those that have ended: nothing of one may be seen in another.
func TestStreamsDoNotMix(t *testing.T) {
	const clients, rounds, words = 16, 3, 1500
	textOf := func(i int) string { return strings.Repeat(fmt.Sprintf("client%02d ", i), words) }
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Input    string
			Messages []struct{ Content string }
			Stream   bool
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			w.WriteHeader(400)
			return
		}
		text, what := request.Input, "delta"
		if len(request.Messages) > 0 {
			text = request.Messages[0].Content
		}
		if !request.Stream {
			what = "message"
		}
		answer := func(text, finish string) string {
			return `{"choices":[{"` + what + `":{"content":"` + text + `"},"finish_reason":` + finish + `}]}`
		}
		if !request.Stream {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer(text, `"stop"`))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range strings.SplitAfter(text, " ") {
			_, _ = io.WriteString(w, "data: "+answer(word, "null")+"\n\n")
		}
		_, _ = io.WriteString(w, "data: "+answer("", `"stop"`)+"\n\ndata: [DONE]\n\n")
	})
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/stream %v", provider, profile, stream), func(t *testing.T) {
					h := start(t, config(provider, profile), echo, func(o *filtertest.Options) {
						o.RequestSplit, o.ResponseSplit = filtertest.Every(700), filtertest.Every(700)
					})
					var group sync.WaitGroup
					for i := range clients {
						group.Go(func() {
							for range rounds {
								body := fmt.Sprintf(`{"model":"m","stream":%v,"input":"%s"}`, stream, textOf(i))
								resp, err := http.Post(h.URL+"/v1/responses", "application/json", strings.NewReader(body))
								if err != nil {
									t.Errorf("client %d: %v", i, err)
									return
								}
								got, err := io.ReadAll(resp.Body)
								resp.Body.Close()
								if err != nil || !whole(string(got), fmt.Sprintf("client%02d ", i), words) {
									t.Errorf("client %d: error %v, expected its own text and no other, got %.300s …", i, err, got)
									return
								}
							}
						})
					}
					group.Wait()
					require.Zero(t, h.Counter("antwort.panics_total"))
					wait(t, h)
					nothingIsHeld(t, h)
				})
			}
		}
	}
}

// whole reports whether an answer has a word at least so often, and no word of
// another client.
func whole(answer, word string, times int) bool {
	return strings.Count(answer, word) >= times && strings.Count(answer, "client") == strings.Count(answer, word)
}

// A gated request's route is chosen by its own header, whatever came between that
// and the end of its body.
func TestRoutesOfStreamsDoNotMix(t *testing.T) {
	const clients, rounds = 16, 3
	var routes []string
	for i := range clients {
		routes = append(routes, fmt.Sprintf(`{"name":"route%02d","match":{"models":["m"],"headers":{"x-team":"team%02d"}},"backends":[{"url":"http://backend%02d"}]}`, i, i, i))
	}
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"choices":[{"message":{"content":"%s of %s"},"finish_reason":"stop"}]}`, r.Header.Get("X-Antwort-Route"), r.Header.Get("X-Team"))
	})
	for _, provider := range []string{"vllm", "vllm-responses"} {
		t.Run(provider, func(t *testing.T) {
			h := start(t, routed(provider, "gated", "", "["+strings.Join(routes, ",")+"]", ""), tell, func(o *filtertest.Options) {
				o.RequestSplit = filtertest.Every(700)
			})
			var group sync.WaitGroup
			for i := range clients {
				group.Go(func() {
					for range rounds {
						r, err := http.NewRequest("POST", h.URL+"/v1/responses", strings.NewReader(textOf(20_000)))
						if err != nil {
							t.Error(err)
							return
						}
						r.Header.Set("Content-Type", "application/json")
						r.Header.Set("X-Team", fmt.Sprintf("team%02d", i))
						resp, err := http.DefaultClient.Do(r)
						if err != nil {
							t.Error(err)
							return
						}
						got, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						if want := fmt.Sprintf("route%02d of team%02d", i, i); err != nil || !strings.Contains(string(got), want) {
							t.Errorf("client %d: error %v, expected %s, got %.300s", i, err, want, got)
							return
						}
					}
				})
			}
			group.Wait()
			require.Zero(t, h.Counter("antwort.panics_total"))
		})
	}
}
