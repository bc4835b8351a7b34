package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// isClients reports whether a search for tools was the client's.
func isClients(o *fastjson.Object) bool {
	return string(jsontext.Start(o.Get("execution"))) == "client"
}

// toolsOfItem adds the tools that an item brings: they can be called as those of
// the request's tools.
func (w *requestWork) toolsOfItem(o *fastjson.Object, i int) *responses.Error {
	tools, err := w.itemTools(o, i, &w.toolset.count)
	if err != nil {
		return err
	}
	return w.toolset.add(tools, true)
}

func (w *requestWork) itemTools(o *fastjson.Object, i int, count *responses.ToolCount) ([]responses.Tool, *responses.Error) {
	v := o.Get("tools")
	if jsontext.IsNull(v) {
		return nil, missing(item(i).of("tools"))
	}
	if v.Type() != fastjson.TypeArray {
		return nil, responses.WrongType(item(i).of("tools"), "an array", v)
	}
	path := item(i).of("tools")
	tools, err := responses.ParseTools(v.GetArray(), path, w.dropped(), count)
	if err == nil {
		w.leftOutTools(v.GetArray(), tools, path)
	}
	return tools, err
}

// toolMessage writes the message of a call's output, an item of the type.
func (w *requestWork) toolMessage(o *fastjson.Object, typ, id []byte, i int) (err *responses.Error) {
	var text []byte
	switch string(typ) {
	case "apply_patch_call_output":
		text, err = w.patchResult(o, i)
	case "tool_search_output":
		text, err = w.searchResult(o, i)
	default:
		output := o.Get("output")
		switch {
		case jsontext.IsNull(output):
			return missing(item(i).of("output"))
		case string(typ) == "shell_call_output" && output.Type() == fastjson.TypeArray: // what came of each command
			w.into(w.messages, "content", item(i), "output")
			value := jsontext.AppendValue(nil, output)
			text = jsontext.AppendEscaped(jsontext.Grow(w.scratch[:0], len(value)+len(value)/8), value)
		default:
			text, err = w.toolResult(output, i)
		}
	}
	if err != nil {
		return err
	}
	// No flushMedia: the results of one turn's calls follow each other.
	w.into(w.messages, "role", item(i), "type")
	w.into(w.messages, "tool_call_id", item(i), idMember(o))
	w.nextMessage(`{"role":"tool","tool_call_id":`)
	w.dst = jsontext.AppendString(w.dst, id)
	w.str(`,"content":`)
	w.quoted(text)
	w.str(`}`)
	return nil
}

// patchResult returns what came of a patch: its status, and what the client
// says of it.
func (w *requestWork) patchResult(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	w.into(w.messages, "content", item(i), "status")
	w.into(w.messages, "content", item(i), "output")
	text, err := appendText(w.scratch[:0], o.Get("status"), item(i), "status")
	if output := o.Get("output"); err == nil && !jsontext.IsNull(output) {
		text, err = appendText(append(text, newline...), output, item(i), "output")
	}
	w.scratch = text
	return text, err
}

// searchResult names the tools that a search has found, as the model calls them.
func (w *requestWork) searchResult(o *fastjson.Object, i int) ([]byte, *responses.Error) {
	tools, err := w.itemTools(o, i, &responses.ToolCount{}) // they count already
	if err != nil {
		return nil, err
	}
	w.into(w.messages, "content", item(i), "tools")
	names := []byte(`{"tools":[`)
	name := func(space string, t *responses.Tool) {
		if names[len(names)-1] != '[' {
			names = append(names, ',')
		}
		names = jsontext.AppendString(names, w.toolset.nameOf(space, t.Name, t.Type))
	}
	for i := range tools {
		if tools[i].Type != "namespace" {
			name("", &tools[i])
		}
		for j := range tools[i].Tools {
			name(tools[i].Name, &tools[i].Tools[j])
		}
	}
	w.scratch = jsontext.AppendEscaped(w.scratch[:0], append(names, `]}`...))
	return w.scratch, nil
}
