package filtertest

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Property answers from Options.Properties.
func (p *plugin) Property(path string) (string, bool) {
	switch path {
	case "plugin_name", "plugin_root_id", "plugin_vm_id":
		return p.host.opt.Properties[path], true
	}
	v, ok := p.host.opt.Properties[path]
	return v, ok
}

// SetProperty keeps what set_property has said.
func (st *stream) SetProperty(path, value string) {
	if st.properties == nil {
		st.properties = map[string]string{}
	}
	st.properties[path] = value
}

// Property answers from what set_property has stored, and from the few of
// Envoy's attributes that the host knows.
func (st *stream) Property(path string) (string, bool) {
	if v, ok := st.properties[path]; ok {
		return v, true
	}
	if name, ok := strings.CutPrefix(path, "request.headers."); ok {
		return st.request.headers.Lookup(name)
	}
	if name, ok := strings.CutPrefix(path, "response.headers."); ok {
		return st.response.headers.Lookup(name)
	}
	switch path {
	case "request.path":
		return st.request.headers.Lookup(":path")
	case "request.url_path":
		v, ok := st.request.headers.Lookup(":path")
		v, _, _ = strings.Cut(v, "?")
		return v, ok
	case "request.query":
		v, ok := st.request.headers.Lookup(":path")
		_, v, _ = strings.Cut(v, "?")
		return v, ok
	case "request.method":
		return st.request.headers.Lookup(":method")
	case "request.host":
		return st.request.headers.Lookup(":authority")
	case "request.scheme":
		return st.request.headers.Lookup(":scheme")
	case "request.id":
		return st.request.headers.Lookup("x-request-id")
	case "request.protocol":
		return st.incoming.Proto, true
	case "source.address":
		return st.incoming.RemoteAddr, true
	case "response.code":
		v, ok := st.response.headers.Lookup(":status")
		code, err := strconv.ParseUint(v, 10, 64)
		if !ok || err != nil {
			return "", false
		}
		return string(binary.LittleEndian.AppendUint64(nil, code)), true
	}
	return "", false
}
