package translate

import "antwort/shared/responses"

// raisedTool tells how a call of a lowered tool is raised back.
type raisedTool struct {
	upstream, name, namespace string
	kind                      responses.CallKind
}

// raisedTools appends the tools when calls of one of them do not go back as
// they come.
func raisedTools(raised []raisedTool, lowered []loweredTool) []raisedTool {
	for i := range lowered {
		if lowered[i].Type == "function" && lowered[i].upstream == lowered[i].Name {
			continue
		}
		for i := range lowered {
			t := &lowered[i]
			raised = append(raised, raisedTool{upstream: t.upstream, name: t.Name, namespace: t.space(), kind: responses.KindOf(t.Type)})
		}
		break
	}
	return raised
}

// raise returns the call of the client's tool for a call of the upstream's
// function. Models also write the tool of a namespace without it, or with a dot
// between the two: that is understood when it can mean one tool only.
func (u *Turn) raise(upstream []byte) responses.Call {
	for i := range u.raised {
		if u.raised[i].upstream == string(upstream) {
			return u.raised[i].call()
		}
	}
	var meant *raisedTool
	for i := range u.raised {
		t := &u.raised[i]
		if t.namespace == "" && t.upstream == t.name || !t.isMeant(upstream) {
			continue
		}
		if meant != nil {
			meant = nil
			break
		}
		meant = t
	}
	if meant != nil {
		return meant.call()
	}
	return responses.Call{Name: string(upstream)}
}

func (t *raisedTool) call() responses.Call {
	return responses.Call{Name: t.name, Namespace: t.namespace, Kind: t.kind}
}

// isMeant reports whether a model that says the name may mean the tool. It makes no text: each
// call may be held against all tools.
func (t *raisedTool) isMeant(said []byte) bool {
	n := len(said) - len(t.name)
	if n < 0 || string(said[n:]) != t.name {
		return false
	}
	space, between := said[:min(n, len(t.namespace))], said[min(n, len(t.namespace)):n]
	return n == 0 || string(space) == t.namespace && (string(between) == "." || string(between) == "__" && len(space) > 0)
}
