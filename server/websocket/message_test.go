package websocket

import (
	"bytes"
	"encoding/json"
	"testing"

	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

var limits = responses.Limits{Depth: 64, Values: 10_000}

func TestMessageBecomesABody(t *testing.T) {
	for name, c := range map[string]struct {
		text, body string
		want       message
	}{
		"the least":      {`{"type":"response.create"}`, `{"stream":true}`, message{}},
		"the type last":  {`{"input":"a","model":"m","type":"response.create"}`, `{"input":"a","model":"m","stream":true}`, message{}},
		"blanks":         {` { "type" : "response.create" , "input" : [ 1 , 2 ] } `, `{"input":[ 1 , 2 ],"stream":true}`, message{}},
		"what is ours":   {`{"stream":true,"type":"response.create","background":false,"generate":false,"stream_id":"a\"b","input":"a"}`, `{"input":"a","stream":true}`, message{prepares: true, laneText: []byte(`a\"b`)}},
		"an escape":      {`{"\u0074ype":"response.cr\u0065ate","str\u0065am":true,"x":1}`, `{"x":1,"stream":true}`, message{}},
		"goes on":        {`{"previous_response_id":"resp_\u0061","type":"response.create"}`, `{"previous_response_id":"resp_\u0061","stream":true}`, message{previous: "resp_a"}},
		"nulls":          {`{"type":"response.create","stream":null,"background":null,"generate":null,"stream_id":null}`, `{"stream":true}`, message{}},
		"an empty lane":  {`{"type":"response.create","stream_id":""}`, `{"stream":true}`, message{laneText: []byte{}}},
		"a nested type":  {`{"type":"response.create","text":{"type":"x","stream":false}}`, `{"text":{"type":"x","stream":false},"stream":true}`, message{}},
		"two of a name":  {`{"type":"response.create","input":"a","input":"b"}`, `{"input":"a","input":"b","stream":true}`, message{}},
		"a long message": {`{"input":"` + string(bytes.Repeat([]byte("x"), 10_000)) + `","type":"response.create"}`, `{"input":"` + string(bytes.Repeat([]byte("x"), 10_000)) + `","stream":true}`, message{}},
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(c.text)
			require.Nil(t, responses.Check(text, limits))
			m, problem := readMessage(text)
			require.Nil(t, problem)
			c.want.kind = create
			require.Equal(t, c.want, m)
			require.Equal(t, c.body, string(bodyOf(text)))
		})
	}
}

// Whatever a client sends, an answer is JSON, and the body of a request has all members
// that are not the message's own.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{
		`{"type":"response.create","model":"m","input":"a","stream_id":"x","generate":false,"stream":true,"background":false}`,
		`{"type":"response.steer","previous_response_id":"resp_1","input":[{"type":"message"}]}`, `{"type":"response.processed"}`,
		`{"input":"a","type":"response.create","stream_id":"\ud83d\ude00\""}`, `[]`, `{"type":"x"}`, `{"type":"response.create","type":"response.steer"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if responses.Check(text, limits) != nil {
			return
		}
		m, problem := readMessage(text)
		lane := append([]byte(nil), m.laneText...)
		if problem != nil {
			require.True(t, json.Valid(errorMessage(problem, m.laneText)))
			return
		}
		require.True(t, json.Valid(steerFailed(text)))
		if m.kind != create {
			return
		}
		var before, after map[string]any
		require.NoError(t, json.Unmarshal(text, &before))
		body := bodyOf(append([]byte(nil), text...))
		require.NoError(t, json.Unmarshal(body, &after), "%s", body)
		require.Equal(t, true, after["stream"])
		for name := range ours {
			delete(before, name)
			delete(after, name)
		}
		require.Equal(t, before, after)
		require.Equal(t, string(lane), string(m.laneText))
		var told map[string]any
		require.NoError(t, json.Unmarshal(errorMessage(responses.Invalid("a", "is wrong"), lane), &told))
	})
}
