package history

import (
	"strings"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// item is what of an item matters to who keeps it. Texts are decoded.
type item struct {
	raw     []byte
	members int
	typ     string
	id      []byte // nil when it is no text
	idValue []byte // as it stands in raw, at idAt; nil without one
	idAt    int
	callID  []byte
	status  string
	role    string
	client  bool // runs the search
}

// look reads an item. Of members of one name the first counts, as it does where the
// item is translated.
func look(raw []byte) (it item) {
	it.raw = raw
	jsontext.Members(raw, func(name, value []byte, at int) bool {
		it.members++
		text, isText := jsontext.Text(value)
		switch name := string(decoded(name)); {
		case name == "id" && it.idValue == nil:
			it.idValue, it.idAt = value, at
			if isText {
				it.id = decoded(text)
			}
		case !isText:
		case name == "type" && it.typ == "":
			it.typ = string(decoded(text))
		case name == "call_id" && it.callID == nil:
			it.callID = decoded(text)
		case name == "status" && it.status == "":
			it.status = string(text)
		case name == "role" && it.role == "":
			it.role = string(decoded(text))
		case name == "execution":
			it.client = string(decoded(text)) == "client"
		}
		return true
	})
	switch {
	case it.typ != "":
	case it.role != "":
		it.typ = "message"
	case it.idValue != nil && it.members <= 2:
		it.typ = "item_reference"
	}
	return it
}

func (it *item) isCall() bool { return responses.IsCall(it.typ, it.client) }

func (it *item) isOutput() bool { return responses.IsOutput(it.typ, it.client) }

// key is what pairs a call with its output. Some have it as their id.
func (it *item) key() []byte {
	if it.callID != nil {
		return it.callID
	}
	return it.id
}

// isKeyed reports whether the item's id is what pairs it.
func (it *item) isKeyed() bool { return it.callID == nil && (it.isCall() || it.isOutput()) }

// words is the item's type as messages say it.
func (it *item) words() string { return strings.ReplaceAll(it.typ, "_", " ") }

// prefixes begin the ids of items that are kept.
var prefixes = map[string]string{
	"message": "msg_", "reasoning": "rs_", "compaction": "cmp_", "additional_tools": "at_", "agent_message": "am_",
	"function_call": "fc_", "function_call_output": "fco_", "custom_tool_call": "ctc_", "custom_tool_call_output": "ctco_",
	"local_shell_call": "lsh_", "local_shell_call_output": "lsho_", "shell_call": "sh_", "shell_call_output": "sho_",
	"apply_patch_call": "apc_", "apply_patch_call_output": "apco_", "tool_search_call": "tsc_", "tool_search_output": "tso_",
}

func prefixOf(typ string) string {
	if p := prefixes[typ]; p != "" {
		return p
	}
	return "item_"
}

// isID accepts what a client may call an item.
func isID(id []byte) bool {
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}
