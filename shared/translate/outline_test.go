package translate_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// meaning is a document as its readers see it.
func meaning(t *testing.T, doc []byte) (v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(doc, &v), "%s", doc)
	return v
}

// Every request of the corpus is the same when it counts as long, but for white
// space and escapes in what is only passed on.
func TestLongRequestsAreAsShortOnes(t *testing.T) {
	for _, c := range cases(t) {
		if responses.Check(c.Request, c.Options.Limits) != nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			tr := translate.New(c.Options)
			want, turn, err := tr.Request(nil, c.Request, corpus.ID, corpus.Created)
			got, long, failed := tr.Checked(nil, c.Request, 1<<20, corpus.ID, corpus.Created)
			require.Equal(t, err, failed)
			// One that is nobody else's any more becomes to the byte what another does.
			var check jsontext.Checker
			body := bytes.Clone(c.Request)
			require.True(t, check.Write(body))
			alone, arrived, failed := tr.For([16]byte{}).Arrived(nil, body, &check, corpus.ID, corpus.Created)
			clear(body)
			require.Equal(t, err, failed)
			require.Equal(t, string(want), string(alone))
			if err != nil {
				return
			}
			require.Equal(t, string(turn.Failed(nil, nil)), string(arrived.Failed(nil, nil)))
			require.Equal(t, meaning(t, want), meaning(t, got))
			require.Equal(t, turn.Streaming(), long.Streaming())
			require.Equal(t, meaning(t, turn.Failed(nil, nil)), meaning(t, long.Failed(nil, nil)))
		})
	}
}

// What is only passed on comes out as it came, on one line.
func TestWhatIsOpaquePassesAsItCame(t *testing.T) {
	long := `{ "a\"\\\u0041\/b" : [ 1 , 2.50e+3 , "x y  z" , "\ud83d\ude00ä",` + "\n\t" + `{ "` + "\u007f" + `" : "\\" } ] , "b" : { } }`
	short := `{"a\"\\\u0041\/b":[1,2.50e+3,"x y  z","\ud83d\ude00ä",{"` + "\u007f" + `":"\\"}],"b":{}}`
	tr := translate.New(translate.Options{})
	body := `{"model":"m","input":"hi","own":` + long + `,"list":[` + long + `],"tools":[{"type":"function","name":"f","parameters":` + long + `},` +
		`{"type":"namespace","name":"n","tools":[{"type":"function","name":"g","parameters":` + long + `}]}],` +
		`"text":{"format":{"type":"json_schema","name":"s","schema":` + long + `}}}`
	chat, turn, err := tr.Checked(nil, []byte(body), 1<<20, "x", 1)
	require.Nil(t, err)
	require.Equal(t, 5, strings.Count(string(chat), short), "%s", chat)
	require.NotContains(t, string(chat), "\n")
	echo := turn.Failed(nil, nil)
	require.Equal(t, 3, strings.Count(string(echo), short), "%s", echo)
	require.NotContains(t, string(echo), "\n")
	require.True(t, json.Valid(chat))
	require.True(t, json.Valid(echo))
}

// A name is known however it is written.
func TestNamesWithEscapesAreKnownInLongRequests(t *testing.T) {
	many := `[{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}}]`
	chat, _, err := translate.New(translate.Options{}).Checked(nil, []byte(`{"model":"m","inp\u0075t":"hi","t\u006fols":`+many+`}`), 1<<20, "x", 1)
	require.Nil(t, err)
	require.Contains(t, string(chat), `"name":"f"`)
}

// Nobody can say that a value of theirs is an opaque one.
func TestOpaqueValuesCannotBeForged(t *testing.T) {
	for _, body := range []string{
		`{"model":"m","input":"hi","own":{"` + "\xff" + `":"x"}}`, // is no UTF-8
		`{"model":"m","input":"hi","own":{"\u00ff":"x"}}`,
		`{"model":"m","input":"hi","own":{"\ufffd":"x"}}`,
	} {
		for _, values := range []int{1, 1 << 20} {
			if responses.Check([]byte(body), responses.Limits{}) != nil {
				continue
			}
			chat, _, err := translate.New(translate.Options{}).Checked(nil, []byte(body), values, "x", 1)
			require.Nil(t, err)
			require.Equal(t, meaning(t, []byte(body)).(map[string]any)["own"], meaning(t, chat).(map[string]any)["own"])
		}
	}
}

// An outline of 24 MiB that grew as it was written was copied four times.
func TestAnOutlineIsNotCopiedWhileItGrows(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is pooled")
	}
	tr := translate.New(translate.Options{})
	body := []byte(`{"model":"m","input":"hi","x":[` + strings.Repeat(`"a text with \"quotes\"",`, 100_000) + `0]}`)
	dst := make([]byte, 0, 2*len(body))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := tr.Checked(dst, body, 1<<20, "x", 1)
	require.Nil(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(5*len(body)), "it was 8 times the body")
}
