package trace

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// However a request is made up, no more of it is kept than is wanted, but for a few names.
func TestWhatIsSaidIsBounded(t *testing.T) {
	long, many := strings.Repeat("x", 1<<20), strings.Repeat
	for name, items := range map[string]string{
		"a long text":          `{"role":"user","content":"` + long + `"}`,
		"a long role":          `{"role":"` + long + `","content":"a"}`,
		"a long type":          `{"type":"` + long + `"}`,
		"a long type of part":  `{"role":"user","content":[{"type":"` + long + `"}]}`,
		"a long name and id":   `{"type":"function_call","call_id":"` + long + `","name":"` + long + `","arguments":"{}"}`,
		"many without a text":  `{"type":"y"}` + many(`,{"type":"y"}`, 10_000),
		"many without parts":   `{"role":"user","content":[]}` + many(`,{"role":"user","content":[]}`, 10_000),
		"many parts":           `{"role":"user","content":[{"type":"z"}` + many(`,{"type":"z"}`, 10_000) + `]}`,
		"many empty texts":     `{"role":"user","content":[{"type":"input_text","text":""}` + many(`,{"type":"input_text","text":""}`, 10_000) + `]}`,
		"many calls of a tool": `{"type":"function_call","call_id":"c","name":"n","arguments":""}` + many(`,{"type":"function_call","call_id":"c","name":"n","arguments":""}`, 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			got := (&said{most: 1000}).messages([]byte(`{"input":[`+items+`]}`), "input", "user")
			require.True(t, json.Valid([]byte(got)), got)
			require.Less(t, len(got), 5000)
		})
	}
}

// What is sent together is not more than those take who get it.
func TestLongSpansAreSentApart(t *testing.T) {
	long := tracetest.SpanStub{Attributes: []attribute.KeyValue{attribute.String("a", strings.Repeat("x", 1<<20))}}
	short := tracetest.SpanStub{Attributes: []attribute.KeyValue{attribute.String("a", "x")}}
	longest := tracetest.SpanStub{Attributes: []attribute.KeyValue{attribute.String("a", strings.Repeat("x", 2*messageBytes))}}
	for want, stubs := range map[int][]tracetest.SpanStub{0: nil, 1: {longest, short}, 2: {long, long, long}, 4: {short, short, short, short}} {
		var spans []sdk.ReadOnlySpan
		for _, s := range stubs {
			spans = append(spans, s.Snapshot())
		}
		require.Equal(t, want, together(spans))
	}
}
