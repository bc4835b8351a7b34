package conformance

import (
	"bytes"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/forward"
	"antwort/shared/responses"
	"antwort/shared/sse"

	"github.com/stretchr/testify/require"
)

func cases(t *testing.T) []corpus.Case {
	all, err := corpus.LoadAll()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestResourcesErrorsAndEvents(t *testing.T) {
	s := load(t)
	resources, errors, seen := 0, 0, make(map[string]int)
	for _, c := range cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			switch {
			case c.Expected.Response == nil:
			case c.Window:
				s.check(t, "CompactResource", c.Expected.Response)
			default:
				resources++
				s.check(t, "ResponseResource", c.Expected.Response)
			}
			if c.Expected.Error != nil {
				errors++
				s.check(t, "ErrorPayload", member(t, member(t, c.Expected.Error, "body"), "error"))
			}
			s.checkEvents(t, c.Expected.Events, seen)
		})
	}
	t.Logf("%d resources, %d errors, events: %v", resources, errors, seen)
	// What a text gateway never sends: it queues nothing and annotates nothing.
	never := map[string]bool{"response.queued": true, "response.output_text.annotation.added": true}
	for name := range s.events {
		if never[name] != (seen[name] == 0) {
			t.Errorf("event %s: seen %d times in the corpus", name, seen[name])
		}
	}
}

// A forwarded stream that is cut is ended with events of the specification.
func TestEndsOfForwardedStreams(t *testing.T) {
	s := load(t)
	for _, c := range cases(t) {
		if c.Expected.Events == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			var w forward.Watch
			passed, err := w.Write(c.Expected.Events[:len(c.Expected.Events)*2/3])
			require.NoError(t, err)
			s.checkEvents(t, w.End(bytes.Clone(passed), responses.NewError(502, "upstream_cut", "cut")), make(map[string]int))
		})
	}
}

func TestEveryPatchIsNeeded(t *testing.T) {
	all := cases(t)
	for i, p := range patches(t) {
		s := loadWithout(t, i)
		needed := false
		for _, c := range all {
			needed = needed || c.Expected.Response != nil && s.validate("ResponseResource", c.Expected.Response) != nil
			eachEvent(t, c.Expected.Events, func(name string, data []byte) {
				needed = needed || s.events[name] == "" || s.validate(s.events[name], data) != nil
			})
			if needed {
				break
			}
		}
		if !needed {
			t.Errorf("the corpus is valid without the patch of %s: take it out", p.(map[string]any)["path"])
		}
	}
}

func (s *spec) checkEvents(t *testing.T, stream []byte, seen map[string]int) {
	eachEvent(t, stream, func(name string, data []byte) {
		if name == "response.compaction.compacting" {
			return // it is OpenAI's, and sent only where it is asked for
		}
		seen[name]++
		schema := s.events[name]
		require.NotEmpty(t, schema, "expected an event of the specification, got %q", name)
		s.check(t, schema, data)
	})
}

func eachEvent(t *testing.T, stream []byte, f func(name string, data []byte)) {
	framer := sse.Framer{Max: 1 << 30}
	framer.Write(stream)
	for {
		ev, ok, err := framer.Next()
		require.NoError(t, err)
		if !ok {
			return
		}
		if string(ev.Data) != "[DONE]" {
			f(string(ev.Name), ev.Data)
		}
	}
}

func (s *spec) check(t *testing.T, schema string, text []byte) {
	if err := s.validate(schema, text); err != nil {
		t.Errorf("expected a valid %s, got\n%s\n%v", schema, text, err)
	}
}
