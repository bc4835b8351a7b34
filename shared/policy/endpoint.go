// Package policy is what server and filter decide alike about a request: which
// endpoint it is for, whether its header and body are allowed, which route it takes
// for which caller, and how it is refused.
//
//	header ─► Decider.Begin ─► Decision ─┬─ Need: nothing more ─► refused, forwarded
//	                                     └─ Need: body ─► Decision.Body, or Translated ─► route
//
// Headers and bodies enter as they came; what is to be done with them comes out.
// It is pure: nothing is sent, read or kept.
package policy

import (
	"strings"

	"antwort/shared/responses"
)

// An Endpoint is one kind of request of the API.
type Endpoint struct {
	Name  string // pattern, as it stands in messages, logs and metrics
	Allow string // methods, as in the Allow header
	// Passes says that it is none of ours: its requests are never translated.
	Passes bool
}

// The endpoints of the API.
var (
	Create      = &Endpoint{Name: "/v1/responses", Allow: "POST"}
	Compact     = &Endpoint{Name: "/v1/responses/compact", Allow: "POST"}
	InputTokens = &Endpoint{Name: "/v1/responses/input_tokens", Allow: "POST"}
	Stored      = &Endpoint{Name: "/v1/responses/{id}", Allow: "GET, DELETE"}
	Cancel      = &Endpoint{Name: "/v1/responses/{id}/cancel", Allow: "POST"}
	InputItems  = &Endpoint{Name: "/v1/responses/{id}/input_items", Allow: "GET"}
	// Those of conversations.
	Conversations     = &Endpoint{Name: "/v1/conversations", Allow: "POST"}
	Conversation      = &Endpoint{Name: "/v1/conversations/{id}", Allow: "GET, POST, DELETE"}
	ConversationItems = &Endpoint{Name: "/v1/conversations/{id}/items", Allow: "GET, POST"}
	ConversationItem  = &Endpoint{Name: "/v1/conversations/{id}/items/{item}", Allow: "GET, DELETE"}

	Models = &Endpoint{Name: "/v1/models", Allow: "GET, HEAD"}
	Model  = &Endpoint{Name: "/v1/models/{id}", Allow: "GET, HEAD"}
)

// Allows reports whether the endpoint has the method.
func (e *Endpoint) Allows(method string) bool {
	if method == e.Allow { // the only one
		return true
	}
	for m := range strings.SplitSeq(e.Allow, ", ") {
		if m == method {
			return true
		}
	}
	return false
}

// Find returns the endpoint of a path, escaped and without its query; nil when it
// is none of the API's.
func Find(path string) *Endpoint {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return nil
	}
	if id, ok := strings.CutPrefix(rest, "models"); ok {
		return findModel(id)
	}
	if below, ok := strings.CutPrefix(rest, "conversations"); ok && (below == "" || below[0] == '/') {
		return findConversation(below)
	}
	if rest, ok = strings.CutPrefix(rest, "responses"); !ok {
		return nil
	}
	if rest == "" {
		return Create
	}
	switch rest { // names, not ids
	case "/compact":
		return Compact
	case "/input_tokens":
		return InputTokens
	}
	id, action, deeper := strings.Cut(rest[1:], "/")
	switch {
	case rest[0] != '/' || !isID(id):
		return nil
	case !deeper:
		return Stored
	case action == "cancel":
		return Cancel
	case action == "input_items":
		return InputItems
	}
	return nil
}

func findConversation(rest string) *Endpoint {
	if rest == "" {
		return Conversations
	}
	id, rest, deeper := strings.Cut(rest[1:], "/")
	list, item, one := strings.Cut(rest, "/")
	switch {
	case !isID(id):
	case !deeper:
		return Conversation
	case list != "items":
	case !one:
		return ConversationItems
	case isID(item):
		return ConversationItem
	}
	return nil
}

// IsAboutStored reports whether requests ask for what was stored.
func (e *Endpoint) IsAboutStored() bool {
	return e == Stored || e == Cancel || e == InputItems || e.IsAboutConversations()
}

// IsAboutConversations reports whether requests ask for conversations, or make them.
func (e *Endpoint) IsAboutConversations() bool {
	return e == Conversations || e == Conversation || e == ConversationItems || e == ConversationItem
}

// IsResponses reports whether a path is of the Responses API or its conversations, a
// known endpoint or not.
func IsResponses(path string) bool {
	rest, ok := strings.CutPrefix(path, Create.Name)
	if !ok {
		rest, ok = strings.CutPrefix(path, Conversations.Name)
	}
	return ok && (rest == "" || rest[0] == '/')
}

func findModel(rest string) *Endpoint {
	if rest == "" {
		return Models
	}
	if id, ok := strings.CutPrefix(rest, "/"); ok && isModelPath(id) {
		return Model
	}
	return nil
}

// isID reports whether s can be the id of a response: it goes into the
// upstream's path as it is.
func isID(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isModelPath reports whether s can name a model: names with slashes are
// common, steps up the path are not.
func isModelPath(s string) bool {
	if s == "" || len(s) > 512 {
		return false
	}
	for step := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(s), "%2f", "/"), "/") {
		if step = strings.ReplaceAll(step, "%2e", "."); step == "." || step == ".." {
			return false
		}
	}
	return true
}

// hasModel reports whether requests of the Responses API name a model in their
// body.
func (e *Endpoint) hasModel() bool { return e == Create || e == Compact || e == InputTokens }

// NamesModel reports whether requests with this method name a model in their body.
func (e *Endpoint) NamesModel(method string) bool {
	return e.Allows(method) && (e.hasModel() || e.Passes && namesModel(method))
}

// WrongMethod refuses a method; the answer also needs the header Allow. upgrade is
// the request's Upgrade field.
func (e *Endpoint) WrongMethod(method, upgrade string) *responses.Error {
	if e.AsksForWebSocket(method, upgrade) {
		return WebSocket()
	}
	return responses.NewError(405, "method_not_allowed", Clip(method, 32)+" is not allowed for "+e.Name+": use "+e.Allow)
}

// NotHere refuses an endpoint that needs stored responses, or compaction.
func (e *Endpoint) NotHere() *responses.Error {
	switch e {
	case Compact:
		return responses.NewError(404, "unsupported_endpoint", "conversations are not compacted here: send the whole conversation, or a shorter one. The gateway's operator can turn it on (compaction.enabled, and state.keys in the filter)")
	case InputTokens:
		return responses.NewError(404, "unsupported_endpoint", "this server cannot count the tokens of a request before it is answered")
	case Conversations, Conversation, ConversationItems, ConversationItem:
		return responses.NewError(404, "unsupported_endpoint", "this server keeps no conversations: continue a response that is stored by previous_response_id, or send the whole conversation as input")
	}
	return responses.NewError(404, "response_not_found",
		"responses are not stored by this server, so there is none to look up: send the whole conversation as input")
}

// UnknownPath refuses a path without an endpoint.
func UnknownPath(path string) *responses.Error {
	return responses.NewError(404, "unknown_url", "unknown path: "+Clip(path, 256)+" (this server has /v1/responses and /v1/models)")
}

// Clip shortens s to n bytes, for messages and logs.
func Clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
