package adopt

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/corpus"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/streamcheck"
)

const random = "mx1o98gmu28w5hrg5imum3fuqf0x"

func terms() Terms {
	return Terms{ID: random, Previous: "resp_before", Stored: true, EventBytes: 1 << 20, AnswerBytes: 1 << 20}
}

func TestRequestForABackendThatKeepsNothing(t *testing.T) {
	const past = `[{"id":"msg_1","role":"user","content":"a"},{"id":"msg_2","type":"message"}]`
	for name, c := range map[string]struct {
		body, past, want string
		streams          bool
	}{
		"what it does not know goes":   {body: `{"model":"m", "store" : true,"new":{"a": 1},"input":"b"}`, want: `{"model":"m","new":{"a": 1},"input":"b","store":false}`},
		"a text after items":           {body: `{"previous_response_id":"resp_1","input":"b\n"}`, past: past, want: `{"input":[` + past[1:len(past)-1] + `,{"type":"message","role":"user","content":"b\n"}],"store":false}`},
		"items after items":            {body: `{"conversation":{"id":"conv_1"},"input":[ {"c":1} ],"stream":true}`, past: past, want: `{"input":[` + past[1:len(past)-1] + `,{"c":1}],"stream":true,"store":false}`},
		"no items after items":         {body: `{"input":[]}`, past: past, want: `{"input":` + past + `,"store":false}`},
		"no input after items":         {body: `{"model":"m"}`, past: past, want: `{"model":"m","input":` + past + `,"store":false}`},
		"a conversation without items": {body: `{"input":"b"}`, past: `[]`, want: `{"input":"b","store":false}`},
		"nobody waits":                 {body: `{"background":true,"stream":false,"background_options":{}}`, streams: true, want: `{"store":false,"stream":true}`},
		"somebody waits":               {body: `{"background":false,"background_options":{}}`, want: `{"background_options":{},"store":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			var before []byte
			if c.past != "" {
				before = []byte(c.past)
			}
			got, err := AppendRequest(nil, []byte(c.body), before, true, c.streams)
			require.Nil(t, err)
			require.Equal(t, c.want, string(got))
		})
	}
	for body, param := range map[string]string{`{"store":1}`: "store", `{"background":"x"}`: "background", `{"previous_response_id":2}`: "previous_response_id"} {
		_, err := AppendRequest(nil, []byte(body), nil, true, false)
		require.NotNil(t, err)
		require.Equal(t, [2]string{param, "invalid_type"}, [2]string{err.Param, err.Code})
	}
	got, err := AppendRequest(nil, []byte(`{"model":"m","input":"b"}`), nil, false, false)
	require.Nil(t, err)
	require.Equal(t, `{"model":"m","input":"b"}`, string(got), "a question makes no response")
}

func TestWholeAnswer(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"ours in the place of its words": {
			`{ "id":"x", "created_at":7, "status":"completed", "store":false, "background":null, "conversation":null, "output":[{"type":"message","id":"m1","content":[{"text":"\"store\":true"}]}], "previous_response_id":null, "usage":{"input_tokens":3}, "new":{"store":false}}`,
			`{ "id":"resp_ID", "created_at":7, "status":"completed", "store":true, "background":false, "conversation":null, "output":[{"type":"message","id":"msg_ID00","content":[{"text":"\"store\":true"}]}], "previous_response_id":"resp_before", "usage":{"input_tokens":3}, "new":{"store":false}}`,
		},
		"what it does not say": {
			`{"status":"incomplete"}`,
			`{"status":"incomplete","id":"resp_ID","store":true,"previous_response_id":"resp_before","background":false,"output":[]}`,
		},
		"items without ids, and such that are paired by them": {
			`{"output":[{"type":"function_call","call_id":"c"},{"type":"local_shell_call","id":"c2"}],"status":"completed","id":"x","store":null,"previous_response_id":null,"background":false}`,
			`{"output":[{"id":"fc_ID00","type":"function_call","call_id":"c"},{"type":"local_shell_call","id":"lsh_ID01","call_id":"c2"}],"status":"completed","id":"resp_ID","store":true,"previous_response_id":"resp_before","background":false}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := New(terms())
			got, err := r.Response([]byte("before"), []byte(c.answer), 0)
			require.Nil(t, err)
			want := strings.ReplaceAll(c.want, "ID", random)
			require.Equal(t, "before"+want, string(got))
			o := r.Outcome()
			require.Equal(t, want, string(o.Resource))
			output := func(o responses.Outcome) string {
				start, end := o.Output()
				return string(o.Resource[start:end])
			}
			items := output(o)
			require.True(t, json.Valid([]byte(items)) && items[0] == '[', items)
			got = r.Unstored(got[:0])
			require.Equal(t, strings.Replace(strings.Replace(want, `"store":true`, `"store":false`, 1), `"text":"\"store\":false`, `"text":"\"store\":true`, 1), string(got))
			require.Equal(t, items, output(r.Outcome()))
		})
	}
	for _, answer := range []string{``, `[]`, `{}`, `{"status":"in_progress"}`, `{"status":"completed"`, "{\"status\":\"completed\",\"a\":\"\xff\"}", `{"status":7}`} {
		out, err := New(terms()).Response([]byte("x"), []byte(answer), 0)
		require.NotNil(t, err, answer)
		require.Equal(t, "x", string(out))
	}
}

// through passes a stream on in pieces.
func through(t *testing.T, r *Response, in string, size int) (out string, s *Stream) {
	t.Helper()
	s = r.Stream()
	var all []byte
	for len(in) > 0 {
		n := min(size, len(in))
		piece := []byte(in[:n])
		in = in[n:]
		var err error
		all, err = s.Write(all, piece, 0)
		require.NoError(t, err)
		s.Release()
		clear(piece) // it is read into again
	}
	return string(all), s
}

// ours are the members that differ, wherever they are.
var ours = map[string]bool{"id": true, "item_id": true, "store": true, "previous_response_id": true, "conversation": true, "background": true}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if ours[name] {
				delete(v, name)
			} else {
				v[name] = without(v[name])
			}
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

func events(t *testing.T, stream string) (all []any) {
	for block := range strings.SplitSeq(stream, "\n\n") {
		if _, data, ok := strings.Cut(block, "data: {"); ok {
			var v any
			require.NoError(t, json.Unmarshal([]byte("{"+data), &v), block)
			all = append(all, without(v))
		}
	}
	return all
}

// Every stream of the corpus is a valid one with our words, and says the same else,
// however it is cut.
func TestNothingElseIsChanged(t *testing.T) {
	cases, err := corpus.Load()
	require.NoError(t, err)
	for _, c := range cases {
		if c.Expected.Events == nil {
			continue
		}
		in := string(c.Expected.Events)
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := New(terms())
			out, s := through(t, r, in, len(in))
			require.True(t, s.Done())
			require.Equal(t, events(t, in), events(t, out))
			require.Empty(t, streamcheck.Check(strings.NewReader(out)))
			require.NotContains(t, out, `"store":false`)
			cut, _ := through(t, New(terms()), in, 7)
			require.Equal(t, out, cut)
			for at := 0; at < len(in); at += 211 {
				passed, s := through(t, New(terms()), in[:at], at)
				if !s.Started() || s.Done() {
					continue
				}
				ended := s.End([]byte(passed), responses.NewError(502, "upstream_cut", "cut"), 0)
				require.Empty(t, streamcheck.Check(bytes.NewReader(ended)), "cut at byte %d", at)
				require.Equal(t, "failed", s.Outcome().Status)
				require.NoError(t, jsontext.Check(s.Outcome().Resource, jsontext.Limits{}))
			}
		})
	}
}

const (
	created = `data: {"response":{"id":"r","status":"in_progress","output":[],"store":false},"type":"response.created"}` + "\n\n"
	added   = `data: {"item":{"id":"m7","type":"message","content":[]},"output_index":0,"type":"response.output_item.added"}` + "\n\n"
	delta   = `data: {"item_id":"m7","content_index":0,"delta":"a\"b","type":"response.output_text.delta"}` + "\n\n"
	ended   = `data: {"response":{"id":"r","status":"completed","output":[{"id":"m7","type":"message"}],"store":false,"usage":{"input_tokens":3}},"type":"response.completed"}` + "\n\n"
)

func TestStreamOfABackendWithOtherHabits(t *testing.T) {
	r := New(terms())
	out, s := through(t, r, ": comment\n\n"+created+added+delta+strings.Replace(ended, `,"type"`, ",\ndata: \"type\"", 1), 1<<20)
	require.Equal(t, strings.ReplaceAll(`event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_ID","status":"in_progress","output":[],"store":true,"previous_response_id":"resp_before","background":false}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_ID00","type":"message","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_ID00","content_index":0,"delta":"a\"b"}

event: response.completed
data: {"type":"response.completed","sequence_number":3,"response":{"id":"resp_ID","status":"completed","output":[{"id":"msg_ID00", "type":"message"}],"store":true,"usage":{"input_tokens":3},"previous_response_id":"resp_before","background":false}}

data: [DONE]

`, "ID", random), out)
	require.True(t, s.Done())
	require.Equal(t, responses.Usage{Input: 3}, s.Outcome().Usage)
}

func TestEndOfAStreamIsTold(t *testing.T) {
	text := created + added + delta
	t.Run("not stored", func(t *testing.T) {
		s := New(terms()).Stream()
		out, err := s.Write([]byte("room"), []byte(text+ended), 0)
		require.NoError(t, err)
		told := string(s.Instead(out, nil))
		require.Contains(t, told, `"status":"completed","output":[{"id":"msg_`+random+`00","type":"message"}],"store":false`)
		require.JSONEq(t, told[strings.LastIndex(told, `"response":`)+len(`"response":`):strings.LastIndex(told, "}\n\ndata: [DONE]")], string(s.Outcome().Resource))
		start, end := s.Outcome().Output()
		require.Equal(t, `[{"id":"msg_`+random+`00","type":"message"}]`, string(s.Outcome().Resource[start:end]))
	})
	t.Run("must not be told", func(t *testing.T) {
		s := New(terms()).Stream()
		out, err := s.Write(nil, []byte(text+ended), 0)
		require.NoError(t, err)
		told := string(s.Instead(out, responses.NewError(503, "state_unavailable", "gone")))
		require.NotContains(t, told, "response.completed")
		require.Contains(t, told, `"type":"error","sequence_number":3,`)
		require.Contains(t, told, `"type":"response.failed","sequence_number":4,"response":{"id":"resp_`+random+`","status":"failed"`)
		require.Contains(t, told, `"store":false`)
	})
	t.Run("the client has left", func(t *testing.T) {
		_, s := through(t, New(terms()), text+text[len(created)+len(added):], 1<<20)
		require.True(t, s.Started())
		s.Left(nil)
		o := s.Outcome()
		require.Equal(t, "cancelled", o.Status)
		start, end := o.Output()
		require.Equal(t, `[{"id":"msg_`+random+`00","type":"message","role":"assistant","content":[{"type":"output_text","annotations":[],"text":"a\"ba\"b"}],"status":"incomplete"}]`, string(o.Resource[start:end]))
	})
	t.Run("nothing was told", func(t *testing.T) {
		_, s := through(t, New(terms()), "data: [DONE]\n\n", 1<<20)
		out := string(s.End(nil, nil, 0))
		require.Contains(t, out, `"upstream_cut"`)
		require.Nil(t, s.Outcome().Resource)
		require.Empty(t, s.End(nil, nil, 0), "a stream ends once")
	})
	t.Run("no JSON", func(t *testing.T) {
		_, err := New(terms()).Stream().Write(nil, []byte("data: {\"type\":}\n\n"), 0)
		require.ErrorContains(t, err, "no JSON")
	})
	t.Run("too much", func(t *testing.T) {
		of := terms()
		of.AnswerBytes = 8
		_, err := New(of).Stream().Write(nil, []byte(created+added+delta+delta+delta), 0)
		require.ErrorContains(t, err, "over this server's limit")
	})
	t.Run("in the background", func(t *testing.T) {
		of := terms()
		of.Queued = []byte(`{"id":"resp_` + random + `","created_at":5,"status":"queued","error":null,"output":[],"store":true,"background":true}`)
		out, s := through(t, New(of), created+added+strings.Replace(ended, `"id":"r",`, `"id":"r","created_at":9,`, 1), 1<<20)
		require.NotContains(t, out, "response.created")
		require.Contains(t, out, `"sequence_number":3,"output_index":0`)
		require.Contains(t, out, `"created_at":5`)
		require.Contains(t, out, `"background":true`)
		require.True(t, s.Done())
		_, s = through(t, New(of), added, 1<<20)
		require.Contains(t, string(s.End(nil, nil, 0)), `"sequence_number":5,"response":{"id":"resp_`+random+`","created_at":5,"status":"failed"`)
	})
}

// Whatever a backend sends, what is told is events, each with JSON, and ends once.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{created + added + delta + ended, "data: {\"type\":\"response.completed\",\"response\":{}}\n\n", added, "data: {\"type\":\"error\"}\n\n"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, queued bool) {
		of := terms()
		if queued {
			of.Queued = []byte(`{"id":"resp_x","created_at":1,"output":[]}`)
		}
		s := New(of).Stream()
		out, err := s.Write(nil, in, 0)
		if err != nil {
			return
		}
		out = s.End(out, nil, 0)
		for block := range bytes.SplitSeq(out, []byte("\n\n")) {
			if _, data, ok := bytes.Cut(block, []byte("data: ")); ok && string(data) != "[DONE]" {
				require.NoError(t, jsontext.Check(data, jsontext.Limits{}), "%s", data)
			}
		}
		if o := s.Outcome(); o.Resource != nil {
			start, end := o.Output()
			require.NoError(t, jsontext.Check(o.Resource[start:end], jsontext.Limits{}))
			require.Contains(t, string(s.Instead(out, nil)), `"store":false`)
		}
	})
}
