package translate

import (
	"slices"

	"antwort/shared/responses"
)

// A toolset is the tools of one request: those of its tools, and those that
// items of its input bring. Upstream each is a function with a name of its own.
type toolset struct {
	lowered []loweredTool
	names   map[string]int // from names upstream to places in lowered
	dropped []string       // types of the tools that were left out
	items   []string       // types of the items that were left out
	count   responses.ToolCount
	renames bool // two tools would have had one name
}

// loweredTool is a tool as the upstream gets it: always a function.
type loweredTool struct {
	*responses.Tool
	namespace *responses.Tool // nil without one
	upstream  string          // the function's name upstream
	allowed   bool
}

func (t *loweredTool) space() string {
	if t.namespace == nil {
		return ""
	}
	return t.namespace.Name
}

func (s *toolset) reset(limit int) {
	s.lowered, s.dropped, s.items, s.renames = s.lowered[:0], nil, nil, false
	s.count = responses.ToolCount{Most: limit}
	if len(s.names) > 0 {
		clear(s.names)
	}
}

// add adds tools. An item may bring one that is there already: the later one
// counts. Within tools that is refused.
func (s *toolset) add(tools []responses.Tool, fromItem bool) *responses.Error {
	if s.names == nil {
		s.names = make(map[string]int, len(tools))
	}
	for i := range tools {
		t := &tools[i]
		if t.Type != "namespace" {
			if err := s.addOne(t, nil, fromItem); err != nil {
				return err
			}
			continue
		}
		for j := range t.Tools {
			if err := s.addOne(&t.Tools[j], t, fromItem); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *toolset) addOne(tool, namespace *responses.Tool, fromItem bool) *responses.Error {
	t := loweredTool{Tool: tool, namespace: namespace, allowed: true}
	t.upstream = upstreamName(t.space(), t.Name)
	at, taken := s.names[t.upstream]
	for salt := 0; salt < salts && taken && !s.lowered[at].is(&t); salt++ { // of two tools that would have one name the later gets another
		s.renames = true
		t.upstream = shortened(t.space(), t.Name, t.Type, salt)
		at, taken = s.names[t.upstream]
	}
	switch {
	case !taken:
		s.names[t.upstream] = len(s.lowered)
		s.lowered = append(s.lowered, t)
	case fromItem && s.lowered[at].is(&t):
		s.lowered[at] = t
	default:
		return invalidValue(t.Path()+".name", "two tools have the name "+quote(t.Name))
	}
	return nil
}

// is reports whether two tools are the same one for the client.
func (t *loweredTool) is(other *loweredTool) bool {
	return t.Name == other.Name && t.space() == other.space() && t.IsClientRun() == other.IsClientRun()
}

// nameOf returns the upstream name of a tool that a call of the history or
// tool_choice names: by its type, too, when the client runs it.
func (s *toolset) nameOf(namespace, name, typ string) string {
	upstream := upstreamName(namespace, name)
	at, ok := s.names[upstream]
	if !ok || s.lowered[at].named(namespace, name, typ) {
		return upstream
	}
	for salt := range salts {
		other := shortened(namespace, name, typ, salt)
		if at, ok := s.names[other]; ok && s.lowered[at].named(namespace, name, typ) {
			return other
		}
	}
	return upstream
}

func (t *loweredTool) named(namespace, name, typ string) bool {
	return t.Name == name && t.space() == namespace && t.IsClientRun() == responses.IsClientRun(typ)
}

// maxItemTypes is how many types of left out items are told.
const maxItemTypes = 16

// dropItem notes that an item of the type was left out.
func (s *toolset) dropItem(typ string) {
	if len(s.items) < maxItemTypes && !slices.Contains(s.items, typ) {
		s.items = append(s.items, typ)
	}
}

// droppedTypes lists the types of tools, and of items of the history, that were left
// out, as a field of HTTP may say them.
func (s *toolset) droppedTypes() string {
	if len(s.dropped)+len(s.items) == 0 {
		return ""
	}
	const longest = 256
	list := ""
	all := slices.Concat(s.dropped, s.items)
	for i, typ := range all {
		if !responses.ValidName(typ) || len(typ) > maxUpstreamName {
			typ = "other"
		}
		if slices.Contains(all[:i], all[i]) || len(list)+len(typ) > longest {
			continue
		}
		if list != "" {
			list += ", "
		}
		list += typ
	}
	return list
}
