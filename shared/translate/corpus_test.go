package translate_test

//go:generate go test -run ^TestCorpus$ -update .

import (
	"bytes"
	"flag"
	"fmt"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/streamcheck"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the results of TestCorpus as what is expected")

func cases(t testing.TB) []corpus.Case {
	all, err := corpus.Load()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestCorpus(t *testing.T) {
	all, err := corpus.LoadAll()
	require.NoError(t, err)
	require.Greater(t, len(all), len(cases(t)))
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			got := c.Run()
			if got.Events != nil {
				for _, p := range streamcheck.Check(bytes.NewReader(got.Events)) {
					t.Errorf("streamcheck: %v", p)
				}
			}
			if *update {
				require.NoError(t, c.Update(got))
				return
			}
			for _, f := range []struct {
				file      string
				want, got []byte
			}{
				{"chat.json", c.Expected.Chat, got.Chat},
				{"response.json", c.Expected.Response, got.Response},
				{"error.json", c.Expected.Error, got.Error},
				{"events.sse", c.Expected.Events, got.Events},
			} {
				if !bytes.Equal(f.want, f.got) {
					t.Errorf("%s/%s:\nexpected %s\ngot      %s\n%s\nrerun: go test ./shared/translate -run 'TestCorpus/^%s$'   (-update writes what came as expected)",
						c.Name, f.file, orNone(f.want), orNone(f.got), firstDifference(f.want, f.got), c.Name)
				}
			}
		})
	}
}

func orNone(b []byte) string {
	if b == nil {
		return "nothing"
	}
	return string(b)
}

func firstDifference(want, got []byte) string {
	n := 0
	for n < min(len(want), len(got)) && want[n] == got[n] {
		n++
	}
	around := func(b []byte) []byte { return b[min(max(n-30, 0), len(b)):min(n+30, len(b))] }
	return fmt.Sprintf("first difference at byte %d: expected …%q…, got …%q…", n, around(want), around(got))
}
