package responses

import (
	"strconv"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// A Tool is one entry of a request's tools.
type Tool struct {
	Type        string          // "function", "custom" or "namespace"
	Name        string          // of the function, custom tool or namespace
	Description *fastjson.Value // a string; nil when absent
	Parameters  *fastjson.Value // function: an object; nil when absent
	Strict      *fastjson.Value // function: a boolean; nil when absent
	Format      *fastjson.Value // custom: an object; nil when absent
	Tools       []Tool          // namespace: its tools
	Extra       []Member        // members that the specification does not know
	Index       int             // its place among the tools of the request, or of its namespace
}

// ParseTools reads tools. Types that cannot be lowered to functions are refused
// or, with drop, left out.
func ParseTools(values []*fastjson.Value, path string, drop bool) ([]Tool, *Error) {
	tools := make([]Tool, 0, len(values))
	for i, v := range values {
		o := v.GetObject()
		if o == nil {
			return nil, WrongType(At(path, i), "an object", v)
		}
		v := o.Get("type")
		if jsontext.IsNull(v) {
			return nil, invalidCode(At(path, i, "type"), "missing_required_parameter", "is required")
		}
		if v.Type() != fastjson.TypeString {
			return nil, WrongType(At(path, i, "type"), "a string", v)
		}
		typ := toolType(v.GetStringBytes())
		if typ == "" && drop {
			continue
		}
		if typ == "" {
			return nil, invalidCode(At(path, i, "type"), "unsupported_tool", "tools of type "+strconv.Quote(short(string(v.GetStringBytes())))+" are not supported: function, custom and namespace are")
		}
		t, err := parseTool(o, typ, path, i, drop)
		if err != nil {
			return nil, err
		}
		tools = append(tools, t)
	}
	return tools, nil
}

// toolType returns the type of a tool that can be lowered to a function, and
// the empty string for others.
func toolType(typ []byte) string {
	switch string(typ) {
	case "function":
		return "function"
	case "custom":
		return "custom"
	case "namespace":
		return "namespace"
	}
	return ""
}

// parseTool reads the tool at path[i].
func parseTool(o *fastjson.Object, typ, path string, i int, drop bool) (Tool, *Error) {
	t := Tool{Type: typ, Index: i}
	var err *Error
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err != nil || jsontext.IsNull(v) {
			return
		}
		at := func() string { return At(path, i, string(key)) }
		must := func(ok bool, want string) {
			if !ok {
				err = WrongType(at(), want, v)
			}
		}
		isKey := func(name, of string) bool { return string(key) == name && typ == of }
		switch {
		case string(key) == "type":
		case string(key) == "name":
			t.Name = string(v.GetStringBytes())
			if must(v.Type() == fastjson.TypeString, "a string"); err == nil && !ValidName(t.Name) {
				err = badName(at(), t.Name)
			}
		case string(key) == "description":
			t.Description = v
			must(v.Type() == fastjson.TypeString, "a string")
		case isKey("parameters", "function"):
			t.Parameters = v
			must(v.Type() == fastjson.TypeObject, "an object")
		case isKey("strict", "function"):
			t.Strict = v
			must(v.Type() == fastjson.TypeTrue || v.Type() == fastjson.TypeFalse, "a boolean")
		case isKey("format", "custom"):
			t.Format = v
			must(v.Type() == fastjson.TypeObject, "an object")
		case isKey("tools", "namespace"):
			if v.Type() != fastjson.TypeArray {
				err = WrongType(at(), "an array", v)
				return
			}
			if t.Tools, err = ParseTools(v.GetArray(), at(), drop); err != nil {
				return
			}
			for i := range t.Tools {
				if t.Tools[i].Type == "namespace" {
					err = invalidCode(At(at(), i, "type"), "unsupported_tool", "a namespace holds no namespaces")
				}
			}
		case string(key) == "parameters", string(key) == "strict", string(key) == "format", string(key) == "tools":
			err = invalidCode(at(), "unknown_parameter", "tools of type "+typ+" have no "+string(key))
		default:
			t.Extra = append(t.Extra, Member{string(key), v})
		}
	})
	if err == nil && t.Name == "" {
		err = invalidCode(At(path, i, "name"), "missing_required_parameter", "is required")
	}
	return t, err
}

// AppendEcho appends the tool as the response resource shows it: a function
// with all its five keys, the others as they came.
func (t *Tool) AppendEcho(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, t.Type...)
	dst = append(dst, `","name":"`...)
	dst = append(dst, t.Name...)
	dst = append(dst, '"')
	if t.Type == "function" || t.Description != nil {
		dst = append(dst, `,"description":`...)
		dst = appendOrNull(dst, t.Description)
	}
	switch t.Type {
	case "function":
		dst = append(dst, `,"parameters":`...)
		dst = appendOrNull(dst, t.Parameters)
		dst = append(dst, `,"strict":`...)
		dst = appendOrNull(dst, t.Strict)
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
	for _, m := range t.Extra {
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, m.Key)
		dst = append(dst, ':')
		dst = jsontext.AppendValue(dst, m.Value)
	}
	return append(dst, '}')
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

func appendOrNull(dst []byte, v *fastjson.Value) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	return jsontext.AppendValue(dst, v)
}

// A ToolChoice is the request's tool_choice.
type ToolChoice struct {
	Mode  string    // "none", "auto" or "required"; of allowed_tools too; empty for one tool
	Tools []ToolRef // allowed_tools: what is allowed; one tool: that tool
}

// A ToolRef names a tool in tool_choice.
type ToolRef struct {
	Type, Name, Namespace string
	Path                  string // of its name in the request
}

// maxAllowedTools is the most that the specification lets allowed_tools name.
const maxAllowedTools = 128

// ParseToolChoice reads tool_choice; nil is auto. Whether the tools it names
// exist is not checked.
func ParseToolChoice(v *fastjson.Value) (ToolChoice, *Error) {
	const path = "tool_choice"
	if v == nil {
		return ToolChoice{Mode: "auto"}, nil
	}
	if v.Type() == fastjson.TypeString {
		mode, err := oneOf(v, path, "none", "auto", "required")
		return ToolChoice{Mode: mode}, err
	}
	if string(v.GetStringBytes("type")) != "allowed_tools" {
		ref, err := parseToolRef(v, path)
		return ToolChoice{Tools: []ToolRef{ref}}, err
	}
	choice := ToolChoice{Mode: "auto"}
	err := members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
		case "mode":
			choice.Mode, err = oneOf(v, At(path, key), "none", "auto", "required")
		case "tools":
			if v.Type() != fastjson.TypeArray {
				return WrongType(At(path, key), "an array", v)
			}
			if n := len(v.GetArray()); n > maxAllowedTools {
				return invalidCode(At(path, key), "array_above_max_length", "has "+strconv.Itoa(n)+" entries, the limit is "+strconv.Itoa(maxAllowedTools))
			}
			for i, entry := range v.GetArray() {
				ref, err := parseToolRef(entry, At(path, key, i))
				if err != nil {
					return err
				}
				choice.Tools = append(choice.Tools, ref)
			}
		default:
			err = unknown(At(path, key))
		}
		return err
	})
	if err == nil && len(choice.Tools) == 0 {
		err = invalidCode(At(path, "tools"), "missing_required_parameter", "must name at least one tool")
	}
	return choice, err
}

func parseToolRef(v *fastjson.Value, path string) (ref ToolRef, err *Error) {
	ref.Path = At(path, "name")
	err = members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
			ref.Type, err = oneOf(v, At(path, key), "function", "custom")
		case "name":
			ref.Name, err = text(v, At(path, key), 64)
		case "namespace":
			ref.Namespace, err = text(v, At(path, key), 64)
		default:
			err = unknown(At(path, key))
		}
		return err
	})
	if err == nil && ref.Type == "" {
		err = invalidCode(At(path, "type"), "missing_required_parameter", "is required")
	}
	if err == nil && ref.Name == "" {
		err = invalidCode(ref.Path, "missing_required_parameter", "is required")
	}
	return ref, err
}

func (c ToolChoice) appendEcho(dst []byte) []byte {
	switch {
	case len(c.Tools) == 0:
		return jsontext.AppendString(dst, c.Mode)
	case c.Mode == "":
		return c.Tools[0].appendEcho(dst)
	}
	dst = append(dst, `{"type":"allowed_tools","mode":"`...)
	dst = append(dst, c.Mode...)
	dst = append(dst, `","tools":[`...)
	for i, ref := range c.Tools {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = ref.appendEcho(dst)
	}
	return append(dst, "]}"...)
}

func (r ToolRef) appendEcho(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, r.Type...)
	dst = append(dst, `","name":`...)
	dst = jsontext.AppendString(dst, r.Name)
	if r.Namespace != "" {
		dst = append(dst, `,"namespace":`...)
		dst = jsontext.AppendString(dst, r.Namespace)
	}
	return append(dst, '}')
}
