package filtertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/filter/filtertest"
)

var script = sync.OnceValues(func() ([]byte, error) { return filtertest.Build("./testdata/script") })

// start runs the script plugin; what it does stands in the request's x-script.
func start(t testing.TB, opt filtertest.Options) *filtertest.Host {
	t.Helper()
	wasm, err := script()
	require.NoError(t, err)
	if opt.Upstream == nil {
		opt.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %s", r.URL.Path, b)
		})
	}
	return filtertest.New(t, wasm, opt)
}

// send asks the host and gives the status and the body.
func send(t testing.TB, client *http.Client, url, script, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("x-script", script)
	r.Header.Set("x-case", "case")
	response, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(b)
}

func http2Client(t testing.TB) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestBodiesAreCutAsAsked(t *testing.T) {
	for _, c := range []struct {
		name  string
		split filtertest.Split
		end   bool
		want  string
	}{
		{"every 3 bytes, end apart", filtertest.Every(3), false, "(3, 0) (3, 0) (1, 0) (0, 1)"},
		{"every 3 bytes, end with data", filtertest.Every(3), true, "(3, 0) (3, 0) (1, 1)"},
		{"every 7 bytes, end with data", filtertest.Every(7), true, "(7, 1)"},
		{"at offsets", filtertest.At(1, 5), false, "(1, 0) (4, 0) (2, 0) (0, 1)"},
		{"at offsets, end with data", filtertest.At(1, 7), true, "(1, 0) (6, 1)"},
		{"by a function", func(offset int64) int { return int(offset) + 1 }, false, "(1, 0) (2, 0) (4, 0) (0, 1)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trace strings.Builder
			host := start(t, filtertest.Options{
				RequestSplit: c.split, ResponseSplit: c.split, EndWithData: c.end, Trace: &trace,
				Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(w, "seven b")
				}),
			})
			_, body := send(t, http.DefaultClient, host.URL, "", "bytes 7")
			assert.Equal(t, "seven b", body)
			require.NoError(t, host.Wait(t.Context()))
			host.Close()
			for _, callback := range []string{"proxy_on_request_body", "proxy_on_response_body"} {
				var got []string
				for line := range strings.Lines(trace.String()) {
					if _, args, ok := strings.Cut(strings.TrimSpace(line), callback+"("); ok {
						got = append(got, "("+args)
					}
				}
				assert.Equal(t, c.want, strings.Join(got, " "), callback)
			}
		})
	}
}

func TestAFlushSendsWhatWasWrittenWhateverTheSplit(t *testing.T) {
	seen := make(chan struct{})
	host := start(t, filtertest.Options{
		ResponseSplit: filtertest.Every(100), EndWithData: true,
		Upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			<-seen
		}),
	})
	response, err := http.Get(host.URL)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	b := make([]byte, 5)
	_, err = io.ReadFull(response.Body, b)
	close(seen)
	require.NoError(t, err)
	assert.Equal(t, "first", string(b))
}

func TestARefusedConfigurationIsAnErrorWithTheLog(t *testing.T) {
	wasm, err := script()
	require.NoError(t, err)
	_, err = filtertest.Start(wasm, filtertest.Options{Configuration: []byte("refuse")})
	require.ErrorContains(t, err, "proxy_on_configure refused the configuration")
	require.ErrorContains(t, err, "configuration refused: refuse")
}

func TestWhatIsNoPluginIsAnError(t *testing.T) {
	_, err := filtertest.Start([]byte("no module"), filtertest.Options{})
	require.ErrorContains(t, err, "compile the module")
	empty := []byte("\x00asm\x01\x00\x00\x00")
	_, err = filtertest.Start(empty, filtertest.Options{})
	require.ErrorContains(t, err, "not a proxy-wasm module")
}

func TestPluginsShareAVM(t *testing.T) {
	first := start(t, filtertest.Options{})
	second, err := first.Share(filtertest.Options{
		Upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "second") }),
	})
	require.NoError(t, err)
	defer second.Close()

	_, body := send(t, http.DefaultClient, first.URL+"/first", "reqh:count=both", "")
	assert.Equal(t, "/first ", body)
	_, body = send(t, http.DefaultClient, second.URL, "reqh:count=both", "")
	assert.Equal(t, "second", body)
	require.NoError(t, second.Wait(t.Context()), "a stream that has not ended would be cut, and its connection with it")
	assert.EqualValues(t, 2, first.Counter("both"))
	assert.Equal(t, []string{"both"}, second.Metrics())

	status, _ := send(t, http.DefaultClient, first.URL, "reqh:panic", "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.True(t, second.Failed(), "the panic of one plugin is the end of the other")
	status, _ = send(t, http.DefaultClient, second.URL, "", "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

func TestPropertiesAnswerFromOptionsAndTheRequest(t *testing.T) {
	host := start(t, filtertest.Options{Properties: map[string]string{"route_name": "models"}})
	send(t, http.DefaultClient, host.URL+"/a?b=c", "reqh:property=route_name,property=request.path,property=request.query,property=request.headers.x-case,property=nothing", "")
	for _, line := range []string{"property ok models", "property ok /a?b=c", "property ok b=c", "property ok case", "property failed: error status returned by host: not found"} {
		require.NoError(t, host.WaitLog(t.Context(), line))
	}
}

func TestTickIsCalledNowWhenATestAsks(t *testing.T) {
	host := start(t, filtertest.Options{})
	done := make(chan string)
	go func() {
		_, body := send(t, http.DefaultClient, host.URL, "reqh:pause,arm=2;tick:reply=500~ticked", "")
		done <- body
	}()
	require.NoError(t, host.WaitLog(t.Context(), "request_headers"))
	host.Tick()
	host.Tick()
	assert.Equal(t, "ticked", <-done)
}

func TestAClientThatLeavesCancelsTheUpstream(t *testing.T) {
	cancelled := make(chan struct{})
	host := start(t, filtertest.Options{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(cancelled)
	})})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, host.URL, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	cancel()
	<-cancelled
	require.NoError(t, host.Wait(t.Context()))
}

func TestManyStreamsAtOnce(t *testing.T) {
	host := start(t, filtertest.Options{})
	clients := []*http.Client{http.DefaultClient, http2Client(t)}
	var streams sync.WaitGroup
	for i := range 100 {
		streams.Go(func() {
			body := strings.Repeat(fmt.Sprint(i), 1000)
			status, got := send(t, clients[i%2], host.URL+"/x", "reqb:pause;reqe:read;resh:resdel=content-length;resb:pause;rese:append=!", body)
			assert.Equal(t, 200, status)
			assert.Equal(t, "/x "+body+"!", got)
		})
	}
	streams.Wait()
	require.NoError(t, host.Wait(t.Context()))
}

func TestWaitTellsOfOpenStreams(t *testing.T) {
	host := start(t, filtertest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, host.URL, nil)
		r.Header.Set("x-script", "reqh:pause")
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	require.NoError(t, host.WaitLog(t.Context(), "request_headers"))
	over, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorContains(t, host.Wait(over), "1 streams are still open")
	require.ErrorContains(t, host.WaitLog(over, "never"), `no log line contains "never"`)
	cancel()
	require.NoError(t, host.Wait(t.Context()))
}

// The same sources give the same bytes, wherever they stand.
func TestABuildIsReproducible(t *testing.T) {
	first, err := filtertest.Build("./testdata/shout")
	require.NoError(t, err)
	t.Chdir("testdata")
	second, err := filtertest.Build("./shout")
	require.NoError(t, err)
	assert.True(t, string(first) == string(second), "two builds differ")
}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	host := start(b, filtertest.Options{})
	client := &http.Client{Transport: &http.Transport{}}
	for b.Loop() {
		send(b, client, host.URL, "", "hello")
	}
}
