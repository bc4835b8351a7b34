package filter_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// The module can reach nothing but the requests of its own plugin: of Envoy's calls
// it links none that begins another request, and of WASI's none for sockets or
// files.
func TestModuleReachesNothingElse(t *testing.T) {
	env := []string{"proxy_log", "proxy_send_local_response", "proxy_set_effective_context", "proxy_set_tick_period_milliseconds",
		"proxy_get_buffer_bytes", "proxy_set_buffer_bytes", "proxy_get_property", "proxy_define_metric", "proxy_increment_metric", "proxy_record_metric",
		"proxy_get_shared_data", "proxy_set_shared_data",
		"proxy_set_property"} // what is set is the request's own
	wasi := []string{"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_time_get", "random_get", "poll_oneoff", "sched_yield", "proc_exit",
		"fd_write", "fd_close", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_get", "fd_prestat_dir_name"} // no path_open: fd_write goes to the log
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, module)
	require.NoError(t, err)
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		switch from {
		case "env":
			if !strings.Contains(name, "_header_map_") {
				require.Contains(t, env, name)
			}
		case "wasi_snapshot_preview1":
			require.Contains(t, wasi, name)
		default:
			t.Errorf("import of %s from %s", name, from)
		}
	}
}

// What a request points to is text on its way to the model server.
func TestNothingInARequestIsFetched(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was fetched", r.URL.Path)
	}))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		part   string
		passes string // as the model server gets it; "": refused
	}{
		"an image":                 {`{"type":"input_image","image_url":"` + elsewhere.URL + `/image"}`, `"url":"` + elsewhere.URL + `/image"`},
		"an image with its detail": {`{"type":"input_image","detail":"low","image_url":"` + elsewhere.URL + `/image"}`, `"url":"` + elsewhere.URL + `/image"`},
		"an image of this machine": {`{"type":"input_image","image_url":"file:///etc/hostname"}`, `"url":"file:///etc/hostname"`},
		"an image in the request":  {`{"type":"input_image","image_url":"data:image/png;base64,aGVsbG8="}`, `"url":"data:image/png;base64,aGVsbG8="`},
		"a file":                   {`{"type":"input_file","file_url":"` + elsewhere.URL + `/file"}`, ""},
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+profile, func(t *testing.T) {
				up := newUpstream(gives(200, "application/json", chatHello))
				h := start(t, config("vllm", profile), up)
				got := post(t, h, `{"model":"m","input":[{"role":"user","content":[`+c.part+`]}]}`)
				wait(t, h)
				if c.passes == "" {
					require.Equal(t, 400, got.status)
					require.Empty(t, up.finished())
				} else {
					require.Equal(t, 200, got.status, got.body)
					_, body := up.last()
					require.Contains(t, body, c.passes)
				}
			})
		}
	}
}
