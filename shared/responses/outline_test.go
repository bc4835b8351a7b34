package responses_test

import (
	"strings"
	"testing"

	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// An outline of 24 MiB that grew as it was written was copied four times.
func TestAnOutlineIsNotCopiedWhileItGrows(t *testing.T) {
	body := []byte(`{"model":"m","input":"hi","x":[` + strings.Repeat(`"a text with \"quotes\"",`, 10_000) + `0]}`)
	require.LessOrEqual(t, testing.AllocsPerRun(3, func() { responses.AppendOutline(nil, body) }), 4.0)
}
