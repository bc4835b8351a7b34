package vm

import (
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
)

// HeaderMap is a list of header fields with lower-case names, in order, as
// Envoy hands it to a filter; pseudo headers stand first.
type HeaderMap struct{ Pairs [][2]string }

// Get gives the first field of that name.
func (m *HeaderMap) Get(name string) (string, bool) {
	for _, p := range m.Pairs {
		if strings.EqualFold(p[0], name) {
			return p[1], true
		}
	}
	return "", false
}

// Add appends a field.
func (m *HeaderMap) Add(name, value string) {
	m.Pairs = append(m.Pairs, [2]string{strings.ToLower(name), value})
}

// Set replaces the first field of that name, or adds one.
func (m *HeaderMap) Set(name, value string) {
	for i, p := range m.Pairs {
		if strings.EqualFold(p[0], name) {
			m.Pairs[i][1] = value
			return
		}
	}
	m.Add(name, value)
}

// Remove takes out all fields of that name.
func (m *HeaderMap) Remove(name string) {
	m.Pairs = slices.DeleteFunc(m.Pairs, func(p [2]string) bool { return strings.EqualFold(p[0], name) })
}

// Clone gives a copy.
func (m *HeaderMap) Clone() *HeaderMap { return &HeaderMap{slices.Clone(m.Pairs)} }

// AddAll appends the fields of h, sorted by name so that a run repeats.
func (m *HeaderMap) AddAll(h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			m.Add(name, value)
		}
	}
}

// Lookup is Get of a map that may not be there.
func (m *HeaderMap) Lookup(name string) (string, bool) {
	if m == nil {
		return "", false
	}
	return m.Get(name)
}

// Header gives the fields that are neither pseudo headers nor hop-by-hop.
func (m *HeaderMap) Header() http.Header {
	h := make(http.Header, len(m.Pairs))
	for _, p := range m.Pairs {
		switch {
		case strings.HasPrefix(p[0], ":"), p[0] == "connection", p[0] == "transfer-encoding", p[0] == "keep-alive":
		default:
			h.Add(p[0], p[1])
		}
	}
	return h
}

// Marshal writes the map as the ABI's list of pairs: the count, the sizes of
// every name and value, then each of them with a zero byte after it.
func (m *HeaderMap) Marshal() []byte {
	size := 4
	for _, p := range m.Pairs {
		size += 8 + len(p[0]) + 1 + len(p[1]) + 1
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Pairs)))
	for _, p := range m.Pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range m.Pairs {
		b = append(append(b, p[0]...), 0)
		b = append(append(b, p[1]...), 0)
	}
	return b
}

// unmarshal reads the ABI's list of pairs; a malformed list is an empty one,
// as in Envoy.
func unmarshal(b []byte) *HeaderMap {
	m := new(HeaderMap)
	if len(b) < 4 {
		return m
	}
	n := int(binary.LittleEndian.Uint32(b))
	at := 4 + 8*n
	if n > 4096 || at > len(b) {
		return m
	}
	next := func(size int) (string, bool) {
		if size < 0 || at+size+1 > len(b) {
			return "", false
		}
		s := string(b[at : at+size])
		at += size + 1
		return s, true
	}
	for i := range n {
		sizes := b[4+8*i:]
		name, ok := next(int(binary.LittleEndian.Uint32(sizes)))
		value, ok2 := next(int(binary.LittleEndian.Uint32(sizes[4:])))
		if !ok || !ok2 {
			return new(HeaderMap)
		}
		m.Add(name, value)
	}
	return m
}
