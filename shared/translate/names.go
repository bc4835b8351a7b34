package translate

import "antwort/shared/responses"

// maxUpstreamName is the longest name of a function in Chat Completions.
const maxUpstreamName = 64

// flatName is the upstream name of a namespace's tool, when it is short enough.
func flatName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "__" + name
}

// upstreamName returns the name that a tool has upstream: the same in tools, in
// the history and in tool_choice, and in every turn.
func upstreamName(namespace, name string) string {
	if flat := flatName(namespace, name); len(flat) <= maxUpstreamName {
		return flat
	}
	return shortened(namespace, name, "function", 0)
}

// salts is how many shortened names a tool has: another may be called like one.
const salts = 3

// shortened returns a name of at most 64 bytes that no other tool has: the
// beginning and the end of its name, between them a sum of the whole and the salt.
func shortened(namespace, name, typ string, salt int) string {
	whole := namespace + "\x00" + name
	if responses.IsClientRun(typ) {
		whole += "\x00" + typ
	}
	for range salt {
		whole += "\x00"
	}
	const digits = 10
	code := make([]byte, 0, digits+2)
	code = append(code, '_')
	for h, n := sum([]byte(whole)), 0; n < digits; n++ {
		code = append(code, "0123456789abcdef"[h&15])
		h >>= 4
	}
	flat := flatName(namespace, name)
	if len(flat)+len(code) <= maxUpstreamName {
		return flat + string(code)
	}
	const head = 20
	tail := maxUpstreamName - head - len(code) - 1
	return flat[:head] + string(code) + "_" + flat[len(flat)-tail:]
}

// shortName is what is looked at of the name that an item tells: one that is longer than names
// of tools may be is that of none.
func shortName(name []byte) string { return string(name[:min(len(name), responses.MaxName+1)]) }
