package responses

// A Call is a tool call as it begins.
type Call struct {
	ID        string // call_id, escaped inside of a JSON string
	Name      string
	Namespace string // empty without one
	Kind      CallKind
}

// CallKind is the kind of an item that is a call.
type CallKind uint8

// The first two hold a text that comes in pieces; the others, calls of tools
// that the client runs, hold a JSON value and are told when it is whole.
const (
	FunctionCall CallKind = iota
	CustomCall
	LocalShellCall
	ShellCall
	ApplyPatchCall
	ToolSearchCall
)

// callKinds are the kinds' items: their type, the beginning of their id, the
// member that holds what the model said and that member before it was said.
var callKinds = [...]struct{ typ, prefix, member, empty string }{
	FunctionCall:   {"function_call", "fc_", "arguments", `"`},
	CustomCall:     {"custom_tool_call", "ctc_", "input", `"`},
	LocalShellCall: {"local_shell_call", "lsh_", "action", `{"type":"exec","command":[],"env":{}}`},
	ShellCall:      {"shell_call", "sh_", "action", `{"commands":[],"timeout_ms":null,"max_output_length":null}`},
	ApplyPatchCall: {"apply_patch_call", "apc_", "operation", `{"type":"update_file","path":"","diff":""}`},
	ToolSearchCall: {"tool_search_call", "tsc_", "arguments", `{}`},
}

// KindOf returns the kind of the calls of a tool of the type.
func KindOf(tool string) CallKind {
	switch tool {
	case "custom":
		return CustomCall
	case "local_shell":
		return LocalShellCall
	case "shell":
		return ShellCall
	case "apply_patch":
		return ApplyPatchCall
	case "tool_search":
		return ToolSearchCall
	}
	return FunctionCall
}

// IsText reports whether the call holds a text.
func (k CallKind) IsText() bool { return k <= CustomCall }

// appendHead appends the item behind its id, up to what the model says.
func (c *Call) appendHead(dst []byte) []byte {
	kind := &callKinds[c.Kind]
	dst = appendTexts(dst, `","type":"`, kind.typ, `","call_id":"`, c.ID, `"`)
	switch c.Kind {
	case ToolSearchCall:
		dst = appendTexts(dst, `,"execution":"client"`)
	case ShellCall:
		dst = appendTexts(dst, `,"environment":{"type":"local"}`)
	case FunctionCall, CustomCall:
		if c.Namespace != "" {
			dst = appendTexts(dst, `,"namespace":"`, c.Namespace, `"`)
		}
		dst = appendString(dst, `,"name":`, c.Name)
	}
	dst = appendTexts(dst, `,"`, kind.member, `":`)
	if c.Kind.IsText() {
		dst = append(dst, '"')
	}
	return dst
}

// IsCall reports whether items of the type are calls that the client answers. client
// says that the item's execution is "client": searches for tools are that or a server's.
// It is not inlined: its copies and those of [IsOutput] were 5 KB of the filter.
//
//go:noinline
func IsCall(typ string, client bool) bool {
	switch typ {
	case "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call":
		return true
	}
	return typ == "tool_search_call" && client
}

// IsOutput reports whether items of the type are what the client answers calls with,
// as [IsCall] does for these.
//
//go:noinline
func IsOutput(typ string, client bool) bool {
	switch typ {
	case "function_call_output", "custom_tool_call_output", "local_shell_call_output", "shell_call_output", "apply_patch_call_output":
		return true
	}
	return typ == "tool_search_output" && client
}
