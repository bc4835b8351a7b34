package translate

import (
	"strconv"
	"strings"

	"antwort/shared/compaction"
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// A place is where something stands in input: an item, or a part of one of its
// lists. Items of the history, which the client has not sent, have indexes below 0.
// Its path is made only for errors.
type place struct {
	item int
	list string // empty for the item itself
	part int
}

func item(i int) place { return place{item: i} }

func (p place) path() string {
	if p.item < 0 {
		return "previous_response_id"
	}
	if p.list == "" {
		return responses.At("input", p.item)
	}
	return responses.At(responses.Of(responses.At("input", p.item), p.list), p.part)
}

//go:noinline
func (p place) of(member string) string {
	if p.item < 0 {
		return p.path()
	}
	return p.path() + "." + member
}

// item translates input[i].
func (w *requestWork) item(v *fastjson.Value, i int) *responses.Error {
	o := v.GetObject()
	if o == nil {
		return responses.WrongType(item(i).path(), "an object", v)
	}
	typ, err := itemType(o, i)
	if err != nil {
		return err
	}
	w.lookedAt(item(i), "type")
	switch string(typ) {
	case "message":
		return w.message(o, i)
	case "function_call":
		return w.callItem(o, i, "function", "arguments")
	case "custom_tool_call":
		return w.callItem(o, i, "custom", "input")
	case "local_shell_call":
		return w.clientCallItem(o, i, "local_shell")
	case "shell_call":
		return w.clientCallItem(o, i, "shell")
	case "apply_patch_call":
		return w.clientCallItem(o, i, "apply_patch")
	case "tool_search_call":
		w.lookedAt(item(i), "execution")
		if isClients(o) {
			return w.clientCallItem(o, i, "tool_search")
		}
	case "tool_search_output":
		w.lookedAt(item(i), "execution")
		if isClients(o) {
			if err := w.toolsOfItem(o, i); err != nil {
				return err
			}
			return w.callOutput(o, typ, i)
		}
	case "function_call_output", "custom_tool_call_output", "local_shell_call_output", "shell_call_output", "apply_patch_call_output":
		return w.callOutput(o, typ, i)
	case "additional_tools":
		return w.toolsOfItem(o, i)
	case "agent_message":
		return w.agentMessage(o, i)
	case "reasoning":
		return w.reasoning(o, i)
	case "item_reference":
		err := responses.Invalid(item(i).path(), "no item is stored here: send the item itself instead of an item_reference")
		err.Code = "previous_response_not_found"
		return err
	}
	if w.opt.DropUnsupportedTools && isHosted(string(typ)) {
		w.toolset.dropItem(string(typ))
		w.skipped(item(i), "nobody here runs its tool, and translation.unsupported_tools is drop")
		return nil
	}
	message := "items of type " + quote(string(typ)) + " are not supported"
	switch {
	case string(typ) == compaction.Type, string(typ) == compaction.Trigger:
		message += " here: the gateway's operator can turn them on (compaction.enabled, and state.keys in the filter)"
	case isHosted(string(typ)):
		message += ": nobody here runs that tool. To answer without such items, the gateway's operator can set translation.unsupported_tools: drop"
	}
	err = responses.Invalid(item(i).of("type"), message)
	err.Code = "unsupported_item"
	return err
}

// isHosted reports whether an item belongs to a tool that its provider runs.
func isHosted(typ string) bool {
	return strings.HasSuffix(typ, "_call") || strings.HasSuffix(typ, "_call_output") || strings.HasPrefix(typ, "mcp_") || strings.HasPrefix(typ, "tool_search_") ||
		typ == "program" || typ == "program_output"
}

var messageType, referenceType = []byte("message"), []byte("item_reference")

// itemType returns the type of an item; it lives as long as the request.
func itemType(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	switch v := o.Get("type"); {
	case !jsontext.IsNull(v):
		if !jsontext.IsString(v) {
			return nil, responses.WrongType(item(i).of("type"), "a string", v)
		}
		return jsontext.Start(v), nil
	case o.Get("role") != nil:
		return messageType, nil
	case o.Get("id") != nil && o.Len() <= 2:
		return referenceType, nil
	}
	return nil, missing(item(i).of("type"))
}

func (w *requestWork) message(o *fastjson.Object, i int) *responses.Error {
	role := o.Get("role")
	if jsontext.IsNull(role) {
		return missing(item(i).of("role"))
	}
	if !jsontext.IsString(role) {
		return responses.WrongType(item(i).of("role"), "a string", role)
	}
	content := o.Get("content")
	if jsontext.IsNull(content) {
		return missing(item(i).of("content"))
	}
	switch string(jsontext.Start(role)) {
	case "user":
		if err := w.beginTurn(); err != nil {
			return err
		}
		w.nextMessage(`{"role":"user","content":`)
		w.into(w.messages-1, "role", item(i), "role")
		if err := w.userContent(content, i); err != nil {
			return err
		}
		w.str(`}`)
		return nil
	case "system", "developer":
		if !w.opt.FoldSystem {
			if err := w.beginTurn(); err != nil {
				return err
			}
		}
		text, err := w.plainText(content, i)
		if err != nil {
			return err
		}
		w.into(w.systemMessage(), "role", item(i), "role")
		w.systemText(text)
		return nil
	case "assistant":
		if err := w.beginAssistant(); err != nil {
			return err
		}
		w.into(w.messages, "role", item(i), "role")
		return w.assistantContent(content, i)
	}
	return invalidValue(item(i).of("role"), "unknown role "+quote(string(jsontext.Start(role)))+"; allowed: user, assistant, system, developer")
}

// itemString returns a member that must be a string and not empty; it lives as
// long as the request.
func itemString(o *fastjson.Object, i int, member string) ([]byte, *responses.Error) {
	v := o.Get(member)
	if jsontext.IsNull(v) {
		return nil, missing(item(i).of(member))
	}
	if !jsontext.IsString(v) {
		return nil, responses.WrongType(item(i).of(member), "a string", v)
	}
	s := jsontext.Bytes(v)
	if len(s) == 0 {
		return nil, invalidValue(item(i).of(member), "must not be empty")
	}
	return s, nil
}

//go:noinline
func missing(param string) *responses.Error {
	err := responses.Invalid(param, "is required")
	err.Code = "missing_required_parameter"
	return err
}

//go:noinline
func invalidValue(param, message string) *responses.Error {
	err := responses.Invalid(param, message)
	err.Code = "invalid_value"
	return err
}

// quote quotes what a client or an upstream sent, shortened, in a message.
//
//go:noinline
func quote(s string) string { return strconv.Quote(cut(s)) }

// cut shortens what a client or an upstream sent.
func cut(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:61], "") + "..."
	}
	return s
}
