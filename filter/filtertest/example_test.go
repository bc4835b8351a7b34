package filtertest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"antwort/filter/filtertest"
)

// A filter between a client and an upstream handler. In a test, New does what
// Start and Close do here.
func Example() {
	wasm, err := filtertest.Build("./testdata/shout") // or os.ReadFile("bin/filter.wasm")
	if err != nil {
		log.Fatal(err)
	}
	host, err := filtertest.Start(wasm, filtertest.Options{
		Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello, %s", r.Header.Get("x-name"))
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()

	for _, name := range []string{"Ann", ""} {
		fmt.Println(ask(host, name))
	}
	fmt.Println("counted:", host.Counter("shout_requests"))
	// Output:
	// 200 HELLO, ANN
	// 401 who are you?
	// counted: 1
}

// A body that reaches the filter in pieces of the test's choice, and the trace
// of what the host did.
func ExampleEvery() {
	wasm, err := filtertest.Build("./testdata/shout")
	if err != nil {
		log.Fatal(err)
	}
	var trace strings.Builder
	host, err := filtertest.Start(wasm, filtertest.Options{
		Upstream:      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "seven b") }),
		ResponseSplit: filtertest.Every(4),
		Trace:         &trace,
	})
	if err != nil {
		log.Fatal(err)
	}
	ask(host, "Ann")
	if err := host.Wait(context.Background()); err != nil { // for the stream's last callbacks
		log.Fatal(err)
	}
	host.Close()
	for line := range strings.Lines(trace.String()) {
		if strings.Contains(line, "_response_body(") || strings.Contains(line, "_set_buffer_") {
			fmt.Fprint(os.Stdout, line)
		}
	}
	// Output:
	// #2 proxy_on_response_body(4, 0)
	// #2   proxy_set_buffer_bytes(1, 0, 2147483647) = 0
	// #2 proxy_on_response_body(3, 0)
	// #2   proxy_set_buffer_bytes(1, 0, 2147483647) = 0
	// #2 proxy_on_response_body(0, 1)
}

// An upstream that breaks: the connection is refused, or reset in the middle
// of the response.
func ExampleOptions_upstream() {
	wasm, err := filtertest.Build("./testdata/shout")
	if err != nil {
		log.Fatal(err)
	}
	reset := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half of")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, upstream := range []http.Handler{filtertest.Unreachable, reset} {
		host, err := filtertest.Start(wasm, filtertest.Options{Upstream: upstream})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ask(host, "Ann"))
		host.Close()
	}
	// Output:
	// 503 UPSTREAM CONNECT ERROR OR DISCONNECT/RESET BEFORE HEADERS. RESET REASON: REMOTE CONNECTION FAILURE
	// 200 HALF OF (unexpected EOF)
}

func ask(host *filtertest.Host, name string) string {
	r, err := http.NewRequest(http.MethodGet, host.URL, nil)
	if err != nil {
		return err.Error()
	}
	if name != "" {
		r.Header.Set("x-name", name)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	got := fmt.Sprint(response.StatusCode, " ", string(b))
	if err != nil {
		got += fmt.Sprintf(" (%v)", err)
	}
	return got
}
