package translate_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/streamcheck"
	"antwort/shared/translate"
)

// FuzzRequest: any bytes become a valid chat request or a 4xx that is typed;
// dst is appended to, or comes back as it was.
func FuzzRequest(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c.Request, c.Options.FoldSystem, c.Options.DropUnsupportedTools)
	}
	f.Fuzz(func(t *testing.T, body []byte, fold, drop bool) {
		opt := benchOptions
		opt.DefaultModel, opt.FoldSystem, opt.DropUnsupportedTools = "m", fold, drop
		opt.Limits = responses.Limits{Depth: 20, Values: 1000, Items: 50, Tools: 20}
		out, turn, err := translate.New(opt).Request([]byte("before"), bytes.Clone(body), corpus.ID, corpus.Created)
		chat, ok := bytes.CutPrefix(out, []byte("before"))
		if !ok {
			t.Fatalf("expected the bytes before to stay, got %q", out)
		}
		if err != nil {
			checkError(t, err, 400, 499)
			if len(chat) > 0 || turn != nil {
				t.Fatalf("expected nothing beside the error %v, got %q", err, chat)
			}
			return
		}
		valid(t, chat)
		var request struct {
			Model    string
			Messages []map[string]any
		}
		if err := json.Unmarshal(chat, &request); err != nil || request.Model == "" || len(request.Messages) == 0 {
			t.Fatalf("expected a model and messages, got %q (%v)", chat, err)
		}
		// What the request says is echoed: the resource is JSON too.
		resource, err := turn.Response(nil, wholeAnswer, corpus.Ended)
		if err != nil {
			t.Fatal(err)
		}
		valid(t, resource)
		events, failed := corpus.Stream(nil, turn.Stream(), []byte(`data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}`+"\n\n"))
		checkStream(t, events, failed)
	})
}

// FuzzAnswer: any answer of an upstream becomes a valid resource or a typed
// error, whatever its status.
func FuzzAnswer(f *testing.F) {
	for _, c := range cases(f) {
		if c.Answer != nil {
			f.Add(c.Answer, c.Status)
		}
	}
	turn := fuzzTurn(f)
	f.Fuzz(func(t *testing.T, answer []byte, status int) {
		if status != 200 {
			checkError(t, translate.UpstreamError(status, bytes.Clone(answer), "", status%2 == 0), 400, 599)
			return
		}
		resource, err := turn.Response(nil, bytes.Clone(answer), corpus.Ended)
		if err != nil {
			checkError(t, err, 400, 599)
			return
		}
		valid(t, resource)
	})
}

// FuzzStream: any bytes of an upstream become a valid event stream or a typed
// error, and the same ones however they are cut.
func FuzzStream(f *testing.F) {
	for _, c := range cases(f) {
		if c.Stream != nil && len(c.Stream) < 8<<10 {
			f.Add(c.Stream, 100, 300)
		}
	}
	turn := fuzzTurn(f)
	f.Fuzz(func(t *testing.T, in []byte, i, j int) {
		if len(in) > 16<<10 {
			return
		}
		i = max(0, min(i, len(in)))
		j = max(i, min(j, len(in)))
		whole, failed := corpus.Stream(nil, turn.Stream(), in)
		checkStream(t, whole, failed)
		if n := len(whole); n > 64*(len(in)+4<<10) {
			t.Fatalf("%d bytes became %d", len(in), n)
		}
		for _, pieces := range [][][]byte{{in[:i], in[i:j], in[j:]}, slices.Collect(slices.Chunk(in, 1))} {
			cut, cutFailed := corpus.Stream(nil, turn.Stream(), pieces...)
			if !bytes.Equal(whole, cut) || !bytes.Equal(errorOf(failed), errorOf(cutFailed)) {
				t.Fatalf("cut in %d pieces, expected the same events\n%s%s\ngot\n%s%s", len(pieces), whole, errorOf(failed), cut, errorOf(cutFailed))
			}
		}
	})
}

// fuzzTurn is a turn with tools of every kind.
func fuzzTurn(f *testing.F) *translate.Turn {
	request := []byte(`{"model":"m","input":"hi","stream":true,"tools":[{"type":"function","name":"get_time"},{"type":"custom","name":"shell"},{"type":"custom","name":"apply_patch"},{"type":"namespace","name":"mcp_files","tools":[{"type":"function","name":"read"},{"type":"custom","name":"write"}]}]}`)
	_, turn, err := translate.New(benchOptions).Request(nil, request, corpus.ID, corpus.Created)
	if err != nil {
		f.Fatal(err)
	}
	return turn
}

func checkError(t *testing.T, e *responses.Error, low, high int) {
	t.Helper()
	body := e.AppendBody(nil)
	valid(t, body)
	if e.Status < low || e.Status > high || e.Type == "" || e.Message == "" {
		t.Fatalf("expected a status from %d to %d, a type and a message, got %d %s", low, high, e.Status, body)
	}
}

func checkStream(t *testing.T, events []byte, failed *responses.Error) {
	t.Helper()
	if failed != nil {
		checkError(t, failed, 400, 599)
		return
	}
	if problems := streamcheck.Check(bytes.NewReader(events)); len(problems) > 0 {
		t.Fatalf("expected a valid stream, got %v\n%s", problems, events)
	}
}

func valid(t *testing.T, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Fatalf("expected JSON in UTF-8, got %q", text)
	}
}
