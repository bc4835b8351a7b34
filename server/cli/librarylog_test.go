package cli

import (
	"bytes"
	"log"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLibraryLogKeepsNoContent(t *testing.T) {
	defer func(flags int) {
		log.SetFlags(flags)
		log.SetOutput(os.Stderr)
	}(log.Flags())
	var out bytes.Buffer
	libraryLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "HUSH", nil)
	require.Contains(t, out.String(), `text="Unsolicited response received on idle HTTP channel starting with"`)
	require.NotContains(t, out.String(), "HUSH")
}
