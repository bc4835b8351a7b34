package filtertest

import (
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
)

// headerMap is a list of header fields with lower-case names, in order, as
// Envoy hands it to a filter; pseudo headers stand first.
type headerMap struct{ pairs [][2]string }

func (m *headerMap) get(name string) (string, bool) {
	for _, p := range m.pairs {
		if strings.EqualFold(p[0], name) {
			return p[1], true
		}
	}
	return "", false
}

func (m *headerMap) add(name, value string) {
	m.pairs = append(m.pairs, [2]string{strings.ToLower(name), value})
}

// set replaces the first field of that name, or adds one.
func (m *headerMap) set(name, value string) {
	for i, p := range m.pairs {
		if strings.EqualFold(p[0], name) {
			m.pairs[i][1] = value
			return
		}
	}
	m.add(name, value)
}

func (m *headerMap) remove(name string) {
	m.pairs = slices.DeleteFunc(m.pairs, func(p [2]string) bool { return strings.EqualFold(p[0], name) })
}

func (m *headerMap) clone() *headerMap { return &headerMap{slices.Clone(m.pairs)} }

// addAll appends the fields of h, sorted by name so that a run repeats.
func (m *headerMap) addAll(h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			m.add(name, value)
		}
	}
}

// header gives the fields that are neither pseudo headers nor hop-by-hop.
func (m *headerMap) header() http.Header {
	h := make(http.Header, len(m.pairs))
	for _, p := range m.pairs {
		switch {
		case strings.HasPrefix(p[0], ":"), p[0] == "connection", p[0] == "transfer-encoding", p[0] == "keep-alive":
		default:
			h.Add(p[0], p[1])
		}
	}
	return h
}

// marshal writes the map as the ABI's list of pairs: the count, the sizes of
// every name and value, then each of them with a zero byte after it.
func (m *headerMap) marshal() []byte {
	size := 4
	for _, p := range m.pairs {
		size += 8 + len(p[0]) + 1 + len(p[1]) + 1
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.pairs)))
	for _, p := range m.pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range m.pairs {
		b = append(append(b, p[0]...), 0)
		b = append(append(b, p[1]...), 0)
	}
	return b
}

// unmarshal reads the ABI's list of pairs; a malformed list is an empty one,
// as in Envoy.
func unmarshal(b []byte) *headerMap {
	m := new(headerMap)
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
			return new(headerMap)
		}
		m.add(name, value)
	}
	return m
}
