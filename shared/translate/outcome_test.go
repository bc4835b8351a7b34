package translate_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// What the outcome says is what the client was told, in every case of the corpus.
func TestOutcomeIsWhatTheClientWasTold(t *testing.T) {
	for _, c := range cases(t) {
		if c.Expected.Response == nil && c.Expected.Events == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			_, turn, failed := translate.New(c.Options).Request(nil, c.Request, corpus.ID, corpus.Created)
			require.Nil(t, failed)
			require.Equal(t, responses.Outcome{}, turn.Outcome(), "before the answer")
			told := c.Expected.Response
			var out []byte
			if turn.Streaming() {
				s := turn.Stream()
				begun, err := s.Write(nil, c.Stream[:0], corpus.Ended)
				require.NoError(t, err)
				require.Empty(t, begun)
				out, err = s.Write(nil, append(c.Stream, c.Answer...), corpus.Ended)
				require.NoError(t, err)
				out = s.End(out, nil, corpus.Ended)
				told = terminalResource(c.Expected.Events)
			} else {
				var e *responses.Error
				out, e = turn.Response(nil, c.Answer, corpus.Ended)
				require.Nil(t, e)
			}
			o := turn.Outcome()
			require.Equal(t, string(told), string(o.Resource))
			require.True(t, bytes.Contains(out, o.Resource))
			var resource struct {
				Status string
				Error  *struct{ Code string }
				Usage  *struct {
					Total int64 `json:"total_tokens"`
				}
			}
			require.NoError(t, json.Unmarshal(told, &resource))
			require.Equal(t, resource.Status, o.Status)
			require.Equal(t, resource.Error != nil, o.Err != nil)
			if o.Err != nil {
				require.Contains(t, []string{o.Err.Code, o.Err.Type}, resource.Error.Code)
			}
			require.Equal(t, resource.Usage != nil, o.HasUsage)
			if o.HasUsage {
				require.Equal(t, resource.Usage.Total, o.Usage.Total)
			}
			turn.Free()
		})
	}
}

// terminalResource is the response in the last event before [DONE].
func terminalResource(events []byte) []byte {
	text := strings.TrimSuffix(string(events), "}\n\n"+responses.Done)
	_, resource, _ := strings.Cut(text[strings.LastIndex(text, "\ndata: "):], `,"response":`)
	return []byte(resource)
}
