package mockllm_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"antwort/server/mockllm"
)

// FuzzRequest: any body is answered with 200 or 400 or 404, or breaks on
// demand, without a panic.
func FuzzRequest(f *testing.F) {
	files, _ := filepath.Glob("testdata/vllm/*.json")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, request, _ := strings.Cut(string(b), `"request": `)
		request, _, _ = strings.Cut(request, ` "status":`)
		if len(request) < 4096 {
			f.Add(strings.TrimSuffix(strings.TrimSpace(request), ","))
		}
	}
	f.Add(`{"messages":[{"role":"user","content":"x\nmock: calls=3 interleave text=\"a\" chunk=3 eol=cr tokens=4"}],"stream":true,"n":2,"logprobs":true,"top_logprobs":2,"stop":["a"]}`)
	f.Add(`{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#/x","x":{"anyOf":[{"type":"array","minItems":3,"items":{"pattern":"[^a]+(b|c)*"}}]}}}}}`)
	mock := mockllm.New(mockllm.Options{})
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "delay") {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
		}()
		mock.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 && w.Code != 404 && !strings.Contains(body, "mock:") {
			t.Fatalf("expected 200, 400 or 404, got %d: %s", w.Code, w.Body)
		}
	})
}
