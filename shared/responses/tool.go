package responses

import (
	"slices"
	"strconv"
	"strings"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// A Tool is one entry of a request's tools.
type Tool struct {
	Type        string          // "function", "custom", "namespace", or one that the client runs
	Name        string          // of the function, custom tool or namespace; of one that the client runs its type
	Description *fastjson.Value // a string; nil when absent
	Parameters  *fastjson.Value // function, tool_search: an object; nil when absent
	Strict      *fastjson.Value // function: a boolean; nil when absent
	Format      *fastjson.Value // custom: an object; nil when absent
	Tools       []Tool          // namespace: its tools
	Extra       []Member        // members that the specification does not know; of a tool that the client runs all others
	Written     []byte          // what the chat request has already of the tool: the member parameters, as the resource repeats it; the description of a namespace

	list  string // where the tool stands in the request
	index int
}

// Path is that of the tool in the request.
func (t *Tool) Path() string { return At(t.list, t.index) }

// IsClientRun reports whether the tool is one that the Responses API defines and
// the client runs: local_shell, shell, apply_patch, tool_search.
func (t *Tool) IsClientRun() bool { return IsClientRun(t.Type) }

// IsClientRun reports whether a tool of the type is one that the Responses API
// defines and the client runs. It is not inlined: its copies were 7 KB of the
// filter.
//
//go:noinline
func IsClientRun(typ string) bool {
	switch typ {
	case "local_shell", "shell", "apply_patch", "tool_search":
		return true
	}
	return false
}

// A ToolCount counts the tools of a request, with those that are left out. A namespace counts
// as the tools that it lists.
type ToolCount struct {
	Most   int // 0 means no limit
	listed int
}

// ParseTools reads tools. Types that somebody else than the client would have
// to run are refused or, when dropped is not nil, left out and appended to it.
func ParseTools(values []*fastjson.Value, path string, dropped *[]string, count *ToolCount) ([]Tool, *Error) {
	if len(values) == 0 {
		return nil, nil
	}
	if count.listed += len(values); count.Most > 0 && count.listed > count.Most {
		return nil, invalidCode(path, "limit_exceeded", "brings the request to more tools than the limit of "+strconv.Itoa(count.Most)+", with those in namespaces")
	}
	tools := make([]Tool, 0, len(values))
	for i, v := range values {
		o := v.GetObject()
		if o == nil {
			return nil, WrongType(At(path, i), "an object", v)
		}
		v := o.Get("type")
		if jsontext.IsNull(v) {
			return nil, invalidCode(Of(At(path, i), "type"), "missing_required_parameter", "is required")
		}
		if !jsontext.IsString(v) {
			return nil, WrongType(Of(At(path, i), "type"), "a string", v)
		}
		said := jsontext.Bytes(v)
		typ := toolType(o, said)
		if typ == "" && dropped != nil {
			*dropped = append(*dropped, string(said[:min(len(said), keptType)]))
			continue
		}
		if typ == "" {
			return nil, unsupportedTool(Of(At(path, i), "type"), string(said))
		}
		t, err := parseTool(o, typ, path, i, dropped, count)
		if err != nil {
			return nil, err
		}
		tools = append(tools, t)
	}
	return tools, nil
}

// keptType is how much is kept of the type of a tool that is left out, in bytes: all of it, but
// of what is longer than any name. Each is compared with all.
const keptType = 65

// unsupportedTool refuses a tool, and says how requests that have it can be
// answered.
func unsupportedTool(path, typ string) *Error {
	message := "tools of type " + quote(typ) + " are not supported: nobody here runs them; function, custom, namespace, shell, local_shell and apply_patch are, and tool_search with execution client."
	if strings.HasPrefix(typ, "web_search") {
		message += " Codex leaves it out with web_search = \"disabled\" in its config.toml."
	}
	return invalidCode(path, "unsupported_tool", message+" To answer without such tools, the gateway's operator can set translation.unsupported_tools: drop")
}

// toolType returns the type of a tool that can be lowered to a function, and
// the empty string for others. A shell and a search may also be somebody
// else's to run.
func toolType(o *fastjson.Object, typ []byte) string {
	switch string(typ) {
	case "function":
		return "function"
	case "custom":
		return "custom"
	case "namespace":
		return "namespace"
	case "local_shell":
		return "local_shell"
	case "apply_patch":
		return "apply_patch"
	case "shell":
		if environment := o.Get("environment"); jsontext.IsNull(environment) || string(jsontext.Start(environment.Get("type"))) == "local" {
			return "shell"
		}
	case "tool_search":
		if execution := o.Get("execution"); execution != nil && string(jsontext.Start(execution)) == "client" {
			return "tool_search"
		}
	}
	return ""
}

// parseTool reads the tool at path[i].
func parseTool(o *fastjson.Object, typ, path string, i int, dropped *[]string, count *ToolCount) (Tool, *Error) {
	t := Tool{Type: typ, list: path, index: i}
	if t.IsClientRun() {
		t.Name = typ
	}
	var err *Error
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil && !jsontext.IsNull(v) {
			err = t.read(key, v, dropped, count)
		}
	})
	if err == nil && t.Name == "" {
		err = invalidCode(t.pathOf([]byte("name")), "missing_required_parameter", "is required")
	}
	return t, err
}

func (t *Tool) pathOf(key []byte) string { return Of(t.Path(), string(key)) }

// read reads a member of the tool. One that only others have is refused, but for
// a tool that the client runs: what it may have is known to the client.
func (t *Tool) read(key []byte, v *fastjson.Value, dropped *[]string, count *ToolCount) *Error {
	switch string(key) {
	case "type":
		return nil
	case "description":
		t.Description = v
		if !jsontext.IsString(v) {
			return WrongType(t.pathOf(key), "a string", v)
		}
		return nil
	case "name":
		if !t.IsClientRun() {
			return t.readName(key, v)
		}
	case "parameters":
		if t.Type == "function" || t.Type == "tool_search" {
			t.Parameters = v
			return t.must(key, v, "an object", fastjson.TypeObject)
		}
	case "strict":
		if t.Type == "function" {
			t.Strict = v
			return t.must(key, v, "a boolean", fastjson.TypeTrue, fastjson.TypeFalse)
		}
	case "format":
		if t.Type == "custom" {
			t.Format = v
			return t.must(key, v, "an object", fastjson.TypeObject)
		}
	case "tools":
		if t.Type == "namespace" {
			return t.readTools(key, v, dropped, count)
		}
	default:
		t.Extra = append(t.Extra, Member{string(key), v})
		return nil
	}
	if t.IsClientRun() {
		t.Extra = append(t.Extra, Member{string(key), v})
		return nil
	}
	return invalidCode(t.pathOf(key), "unknown_parameter", "tools of type "+t.Type+" have no "+string(key))
}

func (t *Tool) must(key []byte, v *fastjson.Value, want string, types ...fastjson.Type) *Error {
	if slices.Contains(types, v.Type()) {
		return nil
	}
	return WrongType(t.pathOf(key), want, v)
}

func (t *Tool) readName(key []byte, v *fastjson.Value) *Error {
	if !jsontext.IsString(v) {
		return WrongType(t.pathOf(key), "a string", v)
	}
	t.Name = string(jsontext.Bytes(v))
	if !ValidName(t.Name) || len(t.Name) > MaxName {
		return badName(t.pathOf(key), t.Name, MaxName)
	}
	return nil
}

// readTools reads the tools of a namespace.
func (t *Tool) readTools(key []byte, v *fastjson.Value, dropped *[]string, count *ToolCount) (err *Error) {
	if err := t.must(key, v, "an array", fastjson.TypeArray); err != nil {
		return err
	}
	if len(v.GetArray()) > 0 {
		count.listed--
	}
	if t.Tools, err = ParseTools(v.GetArray(), t.pathOf(key), dropped, count); err != nil {
		return err
	}
	for i := range t.Tools {
		if in := &t.Tools[i]; in.Type != "function" && in.Type != "custom" {
			err = invalidCode(Of(in.Path(), "type"), "unsupported_tool", "a namespace holds functions and custom tools only")
		}
	}
	return err
}

// AppendEcho appends the tool as the response resource shows it: a function
// with all its five keys, the others as they came.
func (t *Tool) AppendEcho(dst []byte) []byte {
	dst = appendTexts(dst, `{"type":"`, t.Type, `"`)
	if !t.IsClientRun() {
		dst = appendTexts(dst, `,"name":"`, t.Name, `"`)
	}
	if t.Type == "function" || t.Description != nil {
		dst = appendOr(dst, `,"description":`, t.Description, "null")
	}
	switch t.Type {
	case "tool_search":
		if t.Parameters != nil {
			dst = appendOr(dst, `,"parameters":`, t.Parameters, "null")
		}
	case "function":
		if len(t.Written) > 0 {
			dst = append(dst, t.Written...)
		} else {
			dst = appendOr(dst, `,"parameters":`, t.Parameters, "null")
		}
		dst = appendOr(dst, `,"strict":`, t.Strict, "null")
	case "custom":
		if t.Format != nil {
			dst = append(dst, `,"format":`...)
			dst = jsontext.AppendValue(dst, t.Format)
		}
	case "namespace":
		dst = append(dst, `,"tools":[`...)
		dst = appendTools(dst, t.Tools)
		dst = append(dst, ']')
	}
	return append(appendEchoed(dst, t.Extra), '}')
}

func appendTools(dst []byte, tools []Tool) []byte {
	for i := range tools {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = tools[i].AppendEcho(dst)
	}
	return dst
}
