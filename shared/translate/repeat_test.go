package translate_test

import (
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// Events that differ only in their text are told alike however lines end, and whether they
// come alone, together or in pieces.
func TestEventsLikeTheLastAreToldAlikeHoweverTheyCome(t *testing.T) {
	said := []string{"one", `two \"quoted\"`, "three\u00e9", " four"}
	end := `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" + "data: [DONE]\n\n"
	told := func(t *testing.T, stream string, piece int) string {
		s := newTurn(t).Stream()
		var out []byte
		for at := 0; at < len(stream); at += piece {
			var err error
			out, err = s.Write(out, []byte(stream[at:min(at+piece, len(stream))]), corpus.Ended)
			require.NoError(t, err)
		}
		require.True(t, s.Done())
		return string(out)
	}
	chunk := func(text string) string { return string(delta(`"content":"` + text + `"`)) }
	want := told(t, chunk(said[0])+chunk(said[1])+chunk(said[2])+chunk(said[3])+end, 1)
	for _, text := range said {
		require.Contains(t, want, `"delta":"`+text+`"`)
	}
	for name, write := range map[string]func(string) string{
		"as most write them":  func(event string) string { return event },
		"lines that end CRLF": func(event string) string { return strings.ReplaceAll(event, "\n", "\r\n") },
		"lines that end in CR": func(event string) string {
			return strings.ReplaceAll(event, "\n", "\r")
		},
		"no blank before data":    func(event string) string { return strings.Replace(event, "data: ", "data:", 1) },
		"a comment in each event": func(event string) string { return ": hello\n" + event },
		"a name in each event":    func(event string) string { return "event: message\n" + event },
	} {
		t.Run(name, func(t *testing.T) {
			var stream strings.Builder
			for _, text := range said {
				stream.WriteString(write(chunk(text)))
			}
			stream.WriteString(end)
			for _, piece := range []int{1, 7, len(chunk("one")), 1 << 20} {
				require.Equal(t, want, told(t, stream.String(), piece), "pieces of %d bytes", piece)
			}
		})
	}
}

// An event like the last is no longer than others may be.
func TestAnEventLikeTheLastIsHeldToTheLimit(t *testing.T) {
	options := benchOptions
	options.EventBytes = 512
	_, turn, err := translate.New(options).Request(nil, request2KB, corpus.ID, corpus.Created)
	require.Nil(t, err)
	s := turn.Stream()
	out, failed := s.Write(nil, append(delta(`"content":"one"`), delta(`"content":"`+strings.Repeat("x", 512)+`"`)...), corpus.Ended)
	require.NoError(t, failed)
	require.Contains(t, string(out), "an event that is longer than the limit")
}

// What is told of an event does not depend on the events before it, nor on how they are cut.
func TestAnEventLikeTheLastIsToldAsOneThatStandsAlone(t *testing.T) {
	end := `data: {"choices":[{"index":0,"delta":{"content":"."},"finish_reason":"stop"}]}` + "\r\n\r\ndata: [DONE]\r\n\r\n"
	for name, c := range map[string]struct{ before, event, want string }{
		"a blank thought beside the old name": {
			`{"choices":[{"index":0,"delta":{"reasoning":"one","reasoning_content":"two"}}]}`,
			`{"choices":[{"index":0,"delta":{"reasoning":" ","reasoning_content":"two"}}]}`,
			`"delta":"two"`,
		},
		"a delta that is a text, beside a member of the choice": {
			`{"choices":[{"index":0,"content":"own","delta":"lo"}]}`,
			`{"choices":[{"index":0,"content":"other","delta":"lo"}]}`,
			`"delta":"lo"`,
		},
	} {
		before, event := "data: "+c.before+"\r\n\r\n", "data: "+c.event+"\r\n\r\n"
		for how, pieces := range map[string][]string{
			"alone":                  {event, end},
			"behind another":         {before, event, end},
			"and with a CRLF in two": {before[:len(before)-1], before[len(before)-1:] + event, end},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				s := newTurn(t).Stream()
				var out []byte
				for i, piece := range pieces {
					from := len(out)
					var err error
					out, err = s.Write(out, []byte(piece), corpus.Ended)
					require.NoError(t, err)
					if i == len(pieces)-2 {
						require.Contains(t, string(out[from:]), c.want)
					}
				}
			})
		}
	}
}

// A text of two data lines, between which another line stands, is not what the next event
// is held against.
func TestAnEventIsNotLikeOneWhoseTextHasALineOfAnotherField(t *testing.T) {
	s := newTurn(t).Stream()
	out, err := s.Write(nil, []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\n: \"\ndata: b\"}}]}\n\n"), corpus.Ended)
	require.NoError(t, err)
	require.Contains(t, string(out), `"delta":"a\nb"`)
	out, err = s.Write(nil, []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"X\"\ndata: b\"}}]}\n\n"), corpus.Ended)
	require.NoError(t, err)
	require.Contains(t, string(out), "an event that is not JSON")
}
