package responses

import (
	"strconv"
	"strings"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// A ToolChoice is the request's tool_choice.
type ToolChoice struct {
	Mode    string    // "none", "auto" or "required"; of allowed_tools too; empty for one tool
	Allowed bool      // allowed_tools
	Tools   []ToolRef // allowed_tools: what is allowed; one tool: that tool
}

// A ToolRef names a tool in tool_choice.
type ToolRef struct {
	Type, Name, Namespace string
	Path                  string // of its name in the request
}

// maxAllowedTools is the most that the specification lets allowed_tools name.
const maxAllowedTools = 128

// ParseToolChoice reads tool_choice; nil is auto. Whether the tools it names
// exist is not checked. dropped are the types of the tools that were left out:
// what names one of them is left out too.
func ParseToolChoice(v *fastjson.Value, dropped []string) (ToolChoice, *Error) {
	const path = "tool_choice"
	if v == nil {
		return ToolChoice{Mode: "auto"}, nil
	}
	if jsontext.IsString(v) {
		mode, err := oneOf(v, path, "none", "auto", "required")
		return ToolChoice{Mode: mode}, err
	}
	if string(v.GetStringBytes("type")) != "allowed_tools" {
		if namesDropped(v, dropped) {
			return ToolChoice{Mode: "auto"}, nil
		}
		ref, err := parseToolRef(v, path)
		return ToolChoice{Tools: []ToolRef{ref}}, err
	}
	choice := ToolChoice{Mode: "auto", Allowed: true}
	named := 0
	err := members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
		case "mode":
			choice.Mode, err = oneOf(v, Of(path, key), "none", "auto", "required")
		case "tools":
			if v.Type() != fastjson.TypeArray {
				return WrongType(Of(path, key), "an array", v)
			}
			if named = len(v.GetArray()); named > maxAllowedTools {
				return invalidCode(Of(path, key), "array_above_max_length", "has "+strconv.Itoa(named)+" entries, the limit is "+strconv.Itoa(maxAllowedTools))
			}
			for i, entry := range v.GetArray() {
				if namesDropped(entry, dropped) {
					continue
				}
				ref, err := parseToolRef(entry, At(Of(path, key), i))
				if err != nil {
					return err
				}
				choice.Tools = append(choice.Tools, ref)
			}
		default:
			err = unknown(Of(path, key))
		}
		return err
	})
	if err == nil && named == 0 {
		err = invalidCode(Of(path, "tools"), "missing_required_parameter", "must name at least one tool")
	}
	return choice, err
}

// namesDropped reports whether v names a tool that was left out. One kind of
// tool has several names: web_search_preview, computer_use_preview.
func namesDropped(v *fastjson.Value, dropped []string) bool {
	if len(dropped) == 0 || v.GetObject() == nil {
		return false
	}
	typ := string(v.GetStringBytes("type"))
	for _, d := range dropped {
		if d == typ {
			return true
		}
		for _, family := range [...]string{"web_search", "computer"} {
			if strings.HasPrefix(d, family) && strings.HasPrefix(typ, family) {
				return true
			}
		}
	}
	return false
}

func parseToolRef(v *fastjson.Value, path string) (ref ToolRef, err *Error) {
	ref.Path = Of(path, "name")
	err = members(v, path, func(key string, v *fastjson.Value) (err *Error) {
		switch key {
		case "type":
			ref.Type, err = oneOf(v, Of(path, key), "function", "custom", "shell", "local_shell", "apply_patch", "tool_search")
		case "name":
			ref.Name, err = text(v, Of(path, key), MaxName)
		case "namespace":
			ref.Namespace, err = text(v, Of(path, key), MaxName)
		default:
			err = unknown(Of(path, key))
		}
		return err
	})
	switch {
	case err != nil:
	case ref.Type == "":
		err = invalidCode(Of(path, "type"), "missing_required_parameter", "is required")
	case IsClientRun(ref.Type):
		ref.Path = Of(path, "type")
		if ref.Name != "" || ref.Namespace != "" {
			err = invalidCode(path, "invalid_value", "a tool of type "+ref.Type+" has no name")
		}
	case ref.Name == "":
		err = invalidCode(ref.Path, "missing_required_parameter", "is required")
	}
	return ref, err
}

func (c *ToolChoice) appendEcho(dst []byte) []byte {
	switch {
	case !c.Allowed && len(c.Tools) == 0:
		return jsontext.AppendString(dst, c.Mode)
	case !c.Allowed:
		return c.Tools[0].appendEcho(dst)
	}
	dst = appendTexts(dst, `{"type":"allowed_tools","mode":"`, c.Mode, `","tools":[`)
	for i, ref := range c.Tools {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = ref.appendEcho(dst)
	}
	return append(dst, "]}"...)
}

func (r ToolRef) appendEcho(dst []byte) []byte {
	dst = appendTexts(dst, `{"type":"`, r.Type, `"`)
	if r.Name != "" {
		dst = appendString(dst, `,"name":`, r.Name)
	}
	if r.Namespace != "" {
		dst = appendString(dst, `,"namespace":`, r.Namespace)
	}
	return append(dst, '}')
}
