package process

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// A file may be read while it is written, and be valid all the same.
func TestConfigurationThatChangesWhileItIsRead(t *testing.T) {
	named := func(model string) *config.Config {
		c := config.Default()
		c.Engine.DefaultModel = model
		return c
	}
	broken := errors.New("line 3")
	var reads []any
	inForce := named("at the start")
	f := Follower{
		Current: func() *config.Config { return inForce },
		Load: func() (*config.Config, error) {
			next := reads[0]
			reads = reads[1:]
			if err, is := next.(error); is {
				return nil, err
			}
			return named(next.(string)), nil
		},
	}
	for _, step := range []struct {
		name    string
		reads   []any
		want    string // in force afterwards
		problem string
	}{
		{"changed", []any{"a", "a"}, "a", ""},
		{"as before", []any{"a"}, "a", ""},
		{"changed again", []any{"b", "b"}, "b", ""},
		{"half written", []any{"half", "c"}, "b", "changed while it was read"},
		{"then whole", []any{"c", "c"}, "c", ""},
		{"half written and broken", []any{"half", broken}, "c", "line 3"},
		{"broken", []any{broken}, "c", "line 3"},
		{"again as before", []any{"c"}, "c", ""},
	} {
		reads = step.reads
		cfg, changed, err := f.settled(t.Context())
		require.Empty(t, reads, step.name)
		if step.problem != "" {
			require.ErrorContains(t, err, step.problem, step.name)
		} else {
			require.NoError(t, err, step.name)
		}
		if changed {
			inForce = cfg
		}
		require.Equal(t, step.want, inForce.Engine.DefaultModel, step.name)
	}
}
