package configfile_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/configfile"
	"antwort/shared/config"
)

func TestSteady(t *testing.T) {
	named := func(model string) *config.Config {
		c := config.Default()
		c.Engine.DefaultModel = model
		return c
	}
	broken := errors.New("line 3")
	var reads []any
	load := configfile.Steady(func() (*config.Config, error) {
		next := reads[0]
		reads = reads[1:]
		if err, is := next.(error); is {
			return nil, err
		}
		return named(next.(string)), nil
	})
	for _, step := range []struct {
		name    string
		reads   []any
		want    string
		problem string
	}{
		{"at first", []any{"a", "a"}, "a", ""},
		{"as before", []any{"a"}, "a", ""},
		{"changed", []any{"b", "b"}, "b", ""},
		{"half written", []any{"half", "c"}, "", "changed while it was read"},
		{"then whole", []any{"c", "c"}, "c", ""},
		{"half written and broken", []any{"half", broken}, "", "line 3"},
		{"broken", []any{broken}, "", "line 3"},
		{"again as before", []any{"c"}, "c", ""},
	} {
		reads = step.reads
		c, err := load()
		require.Empty(t, reads, step.name)
		if step.problem != "" {
			require.ErrorContains(t, err, step.problem, step.name)
			continue
		}
		require.NoError(t, err, step.name)
		require.Equal(t, step.want, c.Engine.DefaultModel, step.name)
	}
}
