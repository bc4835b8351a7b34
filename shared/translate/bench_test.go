package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

var benchOptions = translate.Options{FoldSystem: true, ReasoningField: "reasoning", ReasoningEvents: "reasoning_text", Limits: responses.Limits{Depth: 64, Values: 1_000_000, Items: 10_000, Tools: 512}}

// request2KB is a turn of an agent: instructions, a tool, a short history.
var request2KB = func() []byte {
	turn := `{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the weather in Paris? Answer in one sentence."}]},` +
		`{"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"They want the weather, so I call the tool."}],"encrypted_content":null,"status":"completed"},` +
		`{"id":"fc_1","type":"function_call","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Paris\"}","status":"completed"},` +
		`{"type":"function_call_output","call_id":"call_1","output":"{\"celsius\":21,\"sky\":\"clear\"}"},` +
		`{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"It is 21 \u00b0C in Paris.","annotations":[],"logprobs":null}]},`
	return []byte(`{"model":"/mnt/models","stream":true,"instructions":"` + strings.Repeat("You are a helpful assistant. ", 8) + `","temperature":0.7,"input":[` + turn + turn +
		`{"type":"message","role":"user","content":"And in Rome?"}],"tools":[{"type":"function","name":"get_weather","description":"Get the weather for a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false},"strict":true}],"tool_choice":"auto"}`)
}()

// requestSmall asks one question.
var requestSmall = []byte(`{"model":"/mnt/models","stream":false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the capital of France? Answer in one sentence."}]}]}`)

// answerSmall is vLLM's answer to it.
var answerSmall = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1790000001,"model":"/mnt/models","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris.","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning":null},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}],"service_tier":null,"system_fingerprint":null,"usage":{"prompt_tokens":12,"total_tokens":19,"completion_tokens":7,"prompt_tokens_details":null},"prompt_logprobs":null}`)

var wholeAnswer = []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1790000001,"model":"/mnt/models","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	strings.Repeat("The capital of France is Paris. ", 16) + `","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning":"` + strings.Repeat("Think. ", 30) +
	`"},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}],"service_tier":null,"system_fingerprint":"vllm","usage":{"prompt_tokens":42,"total_tokens":50,"completion_tokens":8,"prompt_tokens_details":null}}`)

func delta(members string) []byte {
	return fmt.Appendf(nil, `data: {"id":"chatcmpl-a9190e7e860fe1b2","object":"chat.completion.chunk","created":1795396634,"model":"/mnt/models","choices":[{"index":0,"delta":{%s},"logprobs":null,"finish_reason":null,"token_ids":null}]}`+"\n\n", members)
}

var deltas = map[string][]byte{
	"text":      delta(`"content":" capital"`),
	"reasoning": delta(`"content":null,"reasoning":" capital"`),
	"call":      delta(`"content":null,"tool_calls":[{"index":0,"function":{"arguments":" capital"}}]`),
}

func newTurn(t testing.TB) *translate.Turn {
	_, turn, err := translate.New(benchOptions).Request(nil, request2KB, corpus.ID, corpus.Created)
	require.Nil(t, err)
	return turn
}

// openStream is a stream in which a delta of the kind continues an open item.
func openStream(t testing.TB, kind string) *translate.Stream {
	s := newTurn(t).Stream()
	first := deltas[kind]
	if kind == "call" {
		first = delta(`"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\""}}]`)
	}
	_, err := s.Write(nil, first, corpus.Ended)
	require.NoError(t, err)
	return s
}

func BenchmarkRequest2KB(b *testing.B) {
	tr := translate.New(benchOptions)
	dst := make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(request2KB)))
	b.ReportAllocs()
	for b.Loop() {
		_, turn, err := tr.Request(dst, request2KB, corpus.ID, corpus.Created)
		if err != nil {
			b.Fatal(err)
		}
		turn.Free()
	}
}

// BenchmarkSmall is one question and its answer.
func BenchmarkSmall(b *testing.B) {
	tr := translate.New(benchOptions)
	dst := make([]byte, 0, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, turn, err := tr.Request(dst, requestSmall, corpus.ID, corpus.Created)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := turn.Response(dst, answerSmall, corpus.Ended); err != nil {
			b.Fatal(err)
		}
		turn.Free()
	}
}

func BenchmarkWholeAnswer(b *testing.B) {
	turn := newTurn(b)
	dst := make([]byte, 0, 16<<10)
	b.SetBytes(int64(len(wholeAnswer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := turn.Response(dst, wholeAnswer, corpus.Ended); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDelta(b *testing.B) {
	for kind, d := range deltas {
		b.Run(kind, func(b *testing.B) {
			dst := make([]byte, 0, 4<<10)
			b.ReportAllocs()
			var s *translate.Stream
			n := 0
			for b.Loop() {
				if n%4096 == 0 { // else the answer grows without end
					s = openStream(b, kind)
				}
				n++
				if _, err := s.Write(dst, d, corpus.Ended); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream100 is a stream from its request to its end, 100 deltas.
func BenchmarkStream100(b *testing.B) {
	tr := translate.New(benchOptions)
	end := []byte(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" + `data: {"choices":[],"usage":{"prompt_tokens":42,"total_tokens":50,"completion_tokens":8}}` + "\n\ndata: [DONE]\n\n")
	chat, out := make([]byte, 0, 8<<10), make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, turn, err := tr.Request(chat, request2KB, corpus.ID, corpus.Created)
		if err != nil {
			b.Fatal(err)
		}
		s := turn.Stream()
		for range 100 {
			if _, err := s.Write(out, deltas["text"], corpus.Ended); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Write(out, end, corpus.Ended); err != nil || !s.Done() {
			b.Fatal(err)
		}
		turn.Free()
	}
}

// TestAllocations holds what the benchmarks count. Appending to the answer
// grows it now and then, which is less than one allocation in a hundred deltas.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	dst := make([]byte, 0, 64<<10)
	for kind, d := range deltas {
		s := openStream(t, kind)
		for range 2048 { // the buffers find their size
			_, _ = s.Write(dst, d, corpus.Ended)
		}
		n := testing.AllocsPerRun(200, func() { _, _ = s.Write(dst, d, corpus.Ended) })
		require.LessOrEqual(t, n, 0.0, "allocations of a %s delta, expected none", kind)
	}
	tr := translate.New(benchOptions)
	for _, c := range []struct {
		name    string
		request []byte
		most    float64
	}{{"small", requestSmall, smallAllocations}, {"2 KB", request2KB, requestAllocations}} {
		n := testing.AllocsPerRun(200, func() {
			_, turn, _ := tr.Request(dst, c.request, corpus.ID, corpus.Created)
			turn.Free()
		})
		require.LessOrEqual(t, n, c.most, "allocations of a %s request", c.name)
	}
	turn := newTurn(t)
	n := testing.AllocsPerRun(200, func() { _, _ = turn.Response(dst, wholeAnswer, corpus.Ended) })
	require.LessOrEqual(t, n, float64(answerAllocations), "allocations of a whole answer")
}

const (
	smallAllocations   = 2
	requestAllocations = 8
	answerAllocations  = 0
)
