package filter_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"antwort/shared/forward"

	"github.com/stretchr/testify/require"
)

// The filter looks into few chunks of a forwarded stream and reads the usage from
// the end of an event; the native server reads every event. Both find the same,
// whatever stands in the stream and however it is cut.
func TestForwardedUsageIsWhatTheServerReads(t *testing.T) {
	h := startSplit(t, config("vllm-responses", "inline"))
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 0))
		text := oddStream(r)
		chunk := 1 + r.IntN(len(text))
		if r.IntN(2) == 0 {
			chunk = 1 + r.IntN(min(64, len(text)))
		}
		var server forward.Watch
		_, err := server.Write([]byte(text))
		require.NoError(t, err)
		usage := server.Outcome().Usage

		before := tokens(h.Host)
		h.set(streams(text), chunk)
		require.Equal(t, text, post(t, h.Host, hello).body)
		wait(t, h.Host)
		after := tokens(h.Host)
		for i := range after {
			after[i] -= before[i]
		}
		require.Equal(t, []int64{usage.Input, usage.Cached, usage.Output, usage.Reasoning}, after,
			"seed %d: in chunks of %d bytes: %q", seed, chunk, text)
	}
	nothingIsHeld(t, h)
}

// oddStream has a terminal event, mostly, among events that look like it.
func oddStream(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	usage := one(`{"input_tokens":5,"output_tokens":6}`, `{"input_tokens":5 , "x":"}{\"usage\":" , "output_tokens":6}`, `null`, `{}`, `"usage"`, `[1]`, `3`,
		`{"input_tokens":7,"output_tokens":8,"input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":1}}`)
	kind := "response." + one("completed", "incomplete", "failed", "cancelled")
	head, data := "event: "+kind+"\ndata: ", `{"type":"`+kind+`","response":`
	var b strings.Builder
	b.WriteString(one("", "\ufeff"))
	for range r.IntN(6) {
		b.WriteString(one(
			": a comment with \"usage\"\n\n", "\n\n\n",
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"response.completed \\\"usage\\\":{}\"}\n\n",
			"data: {\"type\":\"response.output_text.delta\",\"delta\":\""+strings.Repeat("g", r.IntN(3000))+"\"}\n\n",
			"event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{\"usage\":"+usage+"}}\n\n",
			"id: 3\nretry: 10\nevent: response.x\ndata: {}\ndata: \"usage\"\n\n"))
	}
	b.WriteString(one("", "data: {\"type\":\"x\"}\n\n",
		head+data+`{"output":[{"usage":{"input_tokens":99}}],"usage" :`+"\t"+usage+` ,"z":["usage",{}] } , "n":1 }`+"\n\n",
		"data: "+data+"\ndata: {\"usage\":\ndata: "+usage+"}}\nevent: "+kind+"\n\n",
		"event:"+kind+"\ndata:"+data+`{"usage":`+usage+`,"metadata":{"usage":"x"}}}`+"\n\n",
		"data: "+data+`{"usage":`+usage+`}}`+"\n\n", // without its name
		head+data+`{"a":1},"usage":{"input_tokens":1}}`+"\n\n",
		head+data+`{"usage":`+usage+`,"text":"`+strings.Repeat(`\\\"usage\":`, r.IntN(200))+`"}}`+"\n\n"))
	b.WriteString(one("data: [DONE]\n\n", "data: [DONE]\n\n\n"))
	text := strings.ReplaceAll(b.String(), "\n", one("\n", "\r\n", "\r"))
	if r.IntN(10) == 0 { // cut
		text = text[:1+r.IntN(len(text)-1)]
	}
	return text
}
