package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	for path, want := range map[string]*Route{
		"/v1/responses":                    Create,
		"/v1/responses/compact":            Compact,
		"/v1/responses/resp_1":             Stored,
		"/v1/responses/resp_1/cancel":      Cancel,
		"/v1/responses/resp_1/input_items": InputItems,
		"/v1/models":                       Models,
		"/v1/models/a/b":                   Model,
		"/v1/models/..":                    nil,
		"/v1/models/a%2f%2E.":              nil,
		"/v1/modelsx":                      nil,
		"/v1/responses/":                   nil,
		"/v1/responses/a/b":                nil,
		"/v1/responses/a/cancel/c":         nil,
		"/v1/responses/a%2fb":              nil,
		"/v1/responsesx":                   nil,
		"/v1/responses-x":                  nil,
		"/v2/responses":                    nil,
		"/v1":                              nil,
		"":                                 nil,
	} {
		require.Same(t, want, Find(path), path)
	}
	require.True(t, IsResponses("/v1/responses"))
	require.True(t, IsResponses("/v1/responses/a/b"))
	require.False(t, IsResponses("/v1/responsesx"))
	require.True(t, Stored.Allows("DELETE"))
	require.False(t, Stored.Allows("GE"))
}

func TestContentType(t *testing.T) {
	for _, given := range []string{"application/json", "Application/JSON ; charset=utf-8"} {
		require.Nil(t, ContentType(given), given)
	}
	require.Equal(t, "content-type must be application/json", ContentType("").Message)
	require.Equal(t, "content-type must be application/json, not text/plain", ContentType("text/plain").Message)
	require.Equal(t, "", Coding(" Identity"))
	require.Equal(t, "zstd", Coding("ZSTD"))
}
