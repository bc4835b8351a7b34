package failure_test

import (
	"regexp"
	"testing"

	"antwort/shared/failure"

	"github.com/stretchr/testify/require"
)

// Each kind is the value of a label, and part of a name in Envoy's statistics.
func TestEveryKindHasItsOwnText(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range failure.All() {
		text := kind.String()
		require.Regexp(t, regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), text, "kind %d", kind)
		require.False(t, seen[text], text)
		seen[text] = true
	}
	require.NotEmpty(t, seen)
	require.Empty(t, failure.None.String())
}

func TestAFailureCarriesItsFields(t *testing.T) {
	f := failure.Of(failure.TooLarge, nil).With("Connection", "close").With("Retry-After", "1")
	require.Equal(t, [][2]string{{"Connection", "close"}, {"Retry-After", "1"}}, f.Fields)
}
