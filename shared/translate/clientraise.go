package translate

import (
	"slices"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// raiseClient returns the action, operation or arguments that the arguments of
// a call tell, as JSON. It is false when they tell none. Those of more values than
// most are none: their tree would take a hundred times their size.
func raiseClient(kind responses.CallKind, arguments []byte, most int) ([]byte, bool) {
	var v *fastjson.Value
	if most == 0 || len(arguments)/2 < most || jsontext.Fits(arguments, most) {
		v, _ = fastjson.ParseBytes(arguments)
	}
	isObject := v != nil && v.Type() == fastjson.TypeObject
	if isObject {
		jsontext.LookAt(v)
	}
	if kind == responses.ToolSearchCall {
		if !isObject {
			return jsontext.AppendString(nil, arguments), true
		}
		return jsontext.AppendValue(nil, v), true
	}
	if !isObject {
		return nil, false
	}
	switch o := v.GetObject(); kind {
	case responses.LocalShellCall:
		return raiseLocalShell(o)
	case responses.ShellCall:
		return raiseShell(o)
	default:
		return raisePatch(v, o)
	}
}

func raiseLocalShell(o *fastjson.Object) ([]byte, bool) {
	dst, ok := appendTexts([]byte(`{"type":"exec","command":`), o.Get("command"))
	if !ok {
		return nil, false
	}
	dst = append(dst, `,"env":`...)
	if env := o.Get("env"); env.GetObject() != nil {
		dst = jsontext.AppendValue(dst, env)
	} else {
		dst = append(dst, `{}`...)
	}
	return append(appendOthers(dst, o, "type", "command", "env"), '}'), true
}

func raiseShell(o *fastjson.Object) ([]byte, bool) {
	dst, ok := appendTexts([]byte(`{"commands":`), o.Get("commands"))
	if !ok {
		return nil, false
	}
	for _, member := range [...]string{"timeout_ms", "max_output_length"} {
		dst = append(append(append(dst, `,"`...), member...), `":`...)
		if n := o.Get(member); n != nil && n.Type() == fastjson.TypeNumber {
			dst = n.MarshalTo(dst)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(appendOthers(dst, o, "commands", "timeout_ms", "max_output_length"), '}'), true
}

func raisePatch(v *fastjson.Value, o *fastjson.Object) ([]byte, bool) {
	isText := func(member string) bool {
		m := o.Get(member)
		return m != nil && m.Type() == fastjson.TypeString
	}
	switch string(v.GetStringBytes("type")) {
	case "create_file", "update_file":
		if !isText("diff") {
			return nil, false
		}
	case "delete_file":
	default:
		return nil, false
	}
	if !isText("path") {
		return nil, false
	}
	return jsontext.AppendValue(nil, v), true
}

// appendTexts appends a list of strings; models also write one string for a
// list of one.
func appendTexts(dst []byte, v *fastjson.Value) ([]byte, bool) {
	if v == nil {
		return dst, false
	}
	if v.Type() == fastjson.TypeString {
		return append(jsontext.AppendValue(append(dst, '['), v), ']'), true
	}
	texts := v.GetArray()
	for _, text := range texts {
		if text.Type() != fastjson.TypeString {
			return dst, false
		}
	}
	return jsontext.AppendValue(dst, v), len(texts) > 0
}

// appendOthers appends the members of o that are not named and not null. It is
// not inlined: each copy would have its closure once more.
//
//go:noinline
func appendOthers(dst []byte, o *fastjson.Object, named ...string) []byte {
	o.Visit(func(key []byte, v *fastjson.Value) {
		if jsontext.IsNull(v) || slices.Contains(named, string(key)) {
			return
		}
		dst = append(dst, ',')
		dst = jsontext.AppendString(dst, key)
		dst = append(dst, ':')
		dst = jsontext.AppendValue(dst, v)
	})
	return dst
}
