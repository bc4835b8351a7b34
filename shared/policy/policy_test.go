package policy

import (
	"mime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	for path, want := range map[string]*Endpoint{
		"/v1/responses":                        Create,
		"/v1/responses/compact":                Compact,
		"/v1/responses/input_tokens":           InputTokens,
		"/v1/responses/input_tokens/x":         nil,
		"/v1/responses/resp_1":                 Stored,
		"/v1/responses/resp_1/cancel":          Cancel,
		"/v1/responses/resp_1/input_items":     InputItems,
		"/v1/conversations":                    Conversations,
		"/v1/conversations/conv_1":             Conversation,
		"/v1/conversations/conv_1/items":       ConversationItems,
		"/v1/conversations/conv_1/items/msg_1": ConversationItem,
		"/v1/conversations/":                   nil,
		"/v1/conversations/a%2fb":              nil,
		"/v1/conversations/a/":                 nil,
		"/v1/conversations/a/things":           nil,
		"/v1/conversations/a/items/":           nil,
		"/v1/conversations/a/items/b/c":        nil,
		"/v1/conversationsx":                   nil,
		"/v1/models":                           Models,
		"/v1/models/a/b":                       Model,
		"/v1/models/..":                        nil,
		"/v1/models/a%2f%2E.":                  nil,
		"/v1/modelsx":                          nil,
		"/v1/responses/":                       nil,
		"/v1/responses/a/b":                    nil,
		"/v1/responses/a/cancel/c":             nil,
		"/v1/responses/a%2fb":                  nil,
		"/v1/responsesx":                       nil,
		"/v1/responses-x":                      nil,
		"/v2/responses":                        nil,
		"/v1":                                  nil,
		"":                                     nil,
	} {
		require.Same(t, want, Find(path), path)
	}
	require.True(t, IsResponses("/v1/responses"))
	require.True(t, IsResponses("/v1/responses/a/b"))
	require.False(t, IsResponses("/v1/responsesx"))
	require.True(t, IsResponses("/v1/conversations/a"))
	require.False(t, IsResponses("/v1/conversationsx"))
	require.True(t, Stored.Allows("DELETE"))
	require.False(t, Stored.Allows("GE"))
}

// Clients that try a WebSocket give up at once for 426, not for 405.
func TestWebSocketsAreRefused(t *testing.T) {
	for _, c := range []struct {
		endpoint        *Endpoint
		method, upgrade string
		status          int
	}{
		{Create, "GET", "websocket", 426}, {Create, "GET", " WebSocket ", 426},
		{Create, "GET", "", 405}, {Create, "GET", "h2c", 405}, {Create, "PUT", "websocket", 405}, {Compact, "GET", "websocket", 405},
	} {
		e := c.endpoint.WrongMethod(c.method, c.upgrade)
		require.Equal(t, c.status, e.Status, "%s %q", c.method, c.upgrade)
	}
}

func TestContentType(t *testing.T) {
	for _, given := range []string{
		"application/json", "Application/JSON ; charset=utf-8", "application/json;charset=\"UTF-8\"", "application/json; charset=utf8",
		" application/json;", "application/json; ;v=1.0; charset=utf-8", "application/json; odata.metadata=minimal",
	} {
		require.Nil(t, ContentType([]string{given}), given)
	}
	for _, given := range [][]string{
		nil, {""}, {"text/plain"}, {"application/json5"}, {"application/vnd.api+json"}, {"application/*"}, {"application /json"}, {"text/plain; application/json"},
		{"application/json", "application/json"}, {"application/json", "text/plain"}, {"application/json, text/plain"}, {"application/json text/plain"},
		{"application/json; charset=utf-7"}, {"application/json; charset=utf-8; charset=utf-16"}, {"application/json; Charset=UTF-16LE"},
		{"application/json; charset"}, {"application/json; charset="}, {"application/json; =utf-8"}, {"application/json; charset = utf-7"}, {"application/json; charset=utf-8, text/plain"},
		{"application/json; charset*=utf-7''utf-7"}, {"application/json; charset*0=utf-7"}, {`application/json; x=";charset=utf-7"`}, {`application/json; x="\";charset=utf-7"`},
		{`application/json; charset="utf-8`}, {`application/json; charset=\"`}, {`application/json; charset='utf-8'`}, {"application/json; x=\xff"}, {"application/json\x00"},
	} {
		e := ContentType(given)
		require.NotNil(t, e, "%q", given)
		require.Equal(t, []any{415, "unsupported_content_type"}, []any{e.Status, e.Code})
	}
	require.Equal(t, "content-type must be application/json", ContentType(nil).Message)
	require.Equal(t, "content-type must be application/json, not text/plain", ContentType([]string{"text/plain"}).Message)
	require.Equal(t, "content-type must be application/json in UTF-8, not application/json; charset=utf-7", ContentType([]string{"application/json; charset=utf-7"}).Message)
}

// What is taken for JSON in UTF-8 is nothing else to the standard library.
func FuzzContentType(f *testing.F) {
	for _, seed := range []string{"application/json", "application/json; charset=\"utf-8\";a=b", "application/json; charset*=utf-8''x", "text/plain"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if ContentType([]string{given}) != nil {
			return
		}
		kind, parameters, err := mime.ParseMediaType(given)
		if err != nil {
			return // it is stricter: a parameter twice, an empty one
		}
		require.Equal(t, "application/json", kind)
		require.Contains(t, []string{"", "utf-8", "utf8"}, strings.ToLower(parameters["charset"]))
	})
}

func TestCoding(t *testing.T) {
	require.Equal(t, "", Coding(nil))
	require.Equal(t, "", Coding([]string{" Identity"}))
	require.Equal(t, "zstd", Coding([]string{"ZSTD"}))
	require.Equal(t, "identity, gzip", Coding([]string{"identity", "gzip"}), "the second one counts too")
}
