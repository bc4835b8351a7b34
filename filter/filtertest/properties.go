package filtertest

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// hostGetProperty answers from Options.Properties, from what set_property has
// stored, and from the few of Envoy's attributes that the host knows.
func hostGetProperty(c args) status {
	path := c.string(0)
	value, ok := c.v.target().property(strings.ReplaceAll(path, "\x00", "."))
	if noted, is := strings.CutPrefix(path, "metadata\x00filter_metadata\x00"); is && !ok {
		st := c.v.target().stream
		if st == nil {
			return statusNotFound
		}
		var s status
		if value, s = st.metadata(strings.Split(noted, "\x00")); s != statusOK {
			return s
		}
		ok = true
	}
	if !ok {
		return statusNotFound
	}
	return c.v.give([]byte(value), c.u32(2), c.u32(3))
}

func hostSetProperty(c args) status {
	st := c.v.target().stream
	if st == nil {
		return statusNotFound
	}
	if st.properties == nil {
		st.properties = map[string]string{}
	}
	st.properties[strings.ReplaceAll(c.string(0), "\x00", ".")] = c.string(2)
	return statusOK
}

// property finds a property by its path with dots. Numbers are 8 bytes, little
// endian, as Envoy gives them.
func (t *wasmContext) property(path string) (string, bool) {
	if v, ok := t.plugin.host.opt.Properties[path]; ok {
		return v, true
	}
	switch path {
	case "plugin_name", "plugin_root_id", "plugin_vm_id":
		return "", true
	}
	st := t.stream
	if st == nil {
		return "", false
	}
	if v, ok := st.properties[path]; ok {
		return v, true
	}
	if name, ok := strings.CutPrefix(path, "request.headers."); ok {
		return st.request.headers.lookup(name)
	}
	if name, ok := strings.CutPrefix(path, "response.headers."); ok {
		return st.response.headers.lookup(name)
	}
	switch path {
	case "request.path":
		return st.request.headers.lookup(":path")
	case "request.url_path":
		v, ok := st.request.headers.lookup(":path")
		v, _, _ = strings.Cut(v, "?")
		return v, ok
	case "request.query":
		v, ok := st.request.headers.lookup(":path")
		_, v, _ = strings.Cut(v, "?")
		return v, ok
	case "request.method":
		return st.request.headers.lookup(":method")
	case "request.host":
		return st.request.headers.lookup(":authority")
	case "request.scheme":
		return st.request.headers.lookup(":scheme")
	case "request.id":
		return st.request.headers.lookup("x-request-id")
	case "request.protocol":
		return st.incoming.Proto, true
	case "source.address":
		return st.incoming.RemoteAddr, true
	case "response.code":
		v, ok := st.response.headers.lookup(":status")
		code, err := strconv.ParseUint(v, 10, 64)
		if !ok || err != nil {
			return "", false
		}
		return string(binary.LittleEndian.AppendUint64(nil, code)), true
	}
	return "", false
}

func (m *headerMap) lookup(name string) (string, bool) {
	if m == nil {
		return "", false
	}
	return m.get(name)
}

// sharedValue is an entry of the VM's shared data.
type sharedValue struct {
	value []byte
	cas   uint32
}

func hostGetSharedData(c args) status {
	v, ok := c.v.w.shared[c.string(0)]
	if !ok {
		return statusNotFound
	}
	if st := c.v.give(v.value, c.u32(2), c.u32(3)); st != statusOK {
		return st
	}
	return c.return32(4, v.cas)
}

func hostSetSharedData(c args) status {
	key, value, cas := c.string(0), c.string(2), c.u32(4)
	old, ok := c.v.w.shared[key]
	if cas != 0 && ok && cas != old.cas {
		return statusCasMismatch
	}
	c.v.w.shared[key] = sharedValue{[]byte(value), old.cas + 1}
	return statusOK
}
