package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// Tools that the Responses API defines and the client runs are functions
// upstream. The arguments of their calls are what the item's action or
// operation says:
//
//	local_shell    {"command":["ls","-l"], …}            action
//	shell          {"commands":["ls -l"], …}             action
//	apply_patch    {"type":"create_file","path":…, …}    operation
//	tool_search    what its parameters ask for           arguments

// clientParameters writes the parameters of a tool that the client runs.
func (w *requestWork) clientParameters(t *responses.Tool) {
	switch {
	case t.Type == "local_shell":
		w.str(`,"parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}},"user":{"type":"string"}},"required":["command"]}`)
	case t.Type == "shell":
		w.str(`,"parameters":{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"Shell commands, run in this order."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer","description":"How many characters of output are returned at most."}},"required":["commands"]}`)
	case t.Type == "apply_patch":
		w.str(`,"parameters":{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string","description":"Of create_file and update_file."}},"required":["type","path"]}`)
	case t.Parameters != nil:
		w.toolMember(t, "parameters")
		w.member("parameters", t.Parameters)
	default:
		w.str(`,"parameters":{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}`)
	}
}

// clientDescription is what the model is told of a tool that the client runs
// and that has no description of its own.
func clientDescription(t *responses.Tool) []byte {
	switch t.Type {
	case "local_shell":
		return []byte("Runs a command on the user's machine and returns its output.")
	case "apply_patch":
		return []byte("Creates, updates or deletes a file. The diff of create_file is the new file, with + before each line. The diff of update_file is made of hunks: a line @@, behind it a line of the file that the hunk comes after; then the lines around the change with a blank before them, those that go with -, new ones with +.")
	case "tool_search":
		return []byte("Searches for more tools. Those that are found can be called from then on.")
	}
	text := []byte("Runs shell commands on the user's machine and returns their output.")
	for _, m := range t.Extra {
		if m.Key != "environment" {
			continue
		}
		for i, skill := range m.Value.GetArray("skills") {
			if i == 0 {
				text = append(text, "\n\nSkills, each a directory with instructions in its SKILL.md:"...)
			}
			text = append(append(text, "\n- "...), jsontext.Bytes(skill.Get("name"))...)
			text = append(append(text, " in "...), jsontext.Bytes(skill.Get("path"))...)
			text = append(append(text, ": "...), jsontext.Bytes(skill.Get("description"))...)
		}
	}
	return text
}

// argumentsMember is the member of a call's item that says its arguments.
func argumentsMember(typ string) string {
	switch typ {
	case "apply_patch":
		return "operation"
	case "tool_search":
		return "arguments"
	}
	return "action"
}

// clientArguments returns the arguments of the call that an item of the history tells,
// as JSON, or the escaped text of what a model said that was no object.
func (w *requestWork) clientArguments(typ string, o *fastjson.Object, i int) (arguments []byte, isObject bool, err *responses.Error) {
	member := argumentsMember(typ)
	v := o.Get(member)
	if jsontext.IsNull(v) {
		return nil, false, missing(item(i).of(member))
	}
	if typ == "tool_search" && v.Type() == fastjson.TypeString {
		arguments = jsontext.AppendInside(nil, v)
		return arguments, false, w.takes(len(arguments), jsontext.EscapesOf(arguments), i, member)
	}
	if v.GetObject() == nil {
		return nil, false, responses.WrongType(item(i).of(member), "an object", v)
	}
	size, backslashes := jsontext.Measure(v)
	if err := w.takes(size, backslashes, i, member); err != nil {
		return nil, false, err
	}
	dst := jsontext.Grow(nil, size)
	if typ == "tool_search" {
		return jsontext.AppendValue(dst, v), true, nil
	}
	switch o := v.GetObject(); {
	case typ != "local_shell":
		dst = appendOthers(dst, o)
	case o.Get("env").GetObject() == nil || o.Get("env").GetObject().Len() == 0:
		dst = appendOthers(dst, o, "type", "env")
	default:
		dst = appendOthers(dst, o, "type")
	}
	if len(dst) == 0 {
		return []byte(`{}`), true, nil
	}
	dst[0] = '{' // in the place of the comma
	return append(dst, '}'), true, nil
}
