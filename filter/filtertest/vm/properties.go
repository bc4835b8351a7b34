package vm

import "strings"

// property is the plugin's, else the stream's.
func (c *Context) property(path string) (string, bool) {
	if v, ok := c.plugin.Property(path); ok || c.stream == nil {
		return v, ok
	}
	return c.stream.Property(path)
}

func hostGetProperty(c args) Status {
	path := c.string(0)
	t := c.v.target()
	value, ok := t.property(strings.ReplaceAll(path, "\x00", "."))
	if noted, is := strings.CutPrefix(path, "metadata\x00filter_metadata\x00"); is && !ok {
		if t.stream == nil {
			return NotFound
		}
		var s Status
		if value, s = t.stream.Metadata(strings.Split(noted, "\x00")); s != OK {
			return s
		}
		ok = true
	}
	if !ok {
		return NotFound
	}
	return c.v.give([]byte(value), c.u32(2), c.u32(3))
}

func hostSetProperty(c args) Status {
	st := c.v.target().stream
	if st == nil {
		return NotFound
	}
	st.SetProperty(strings.ReplaceAll(c.string(0), "\x00", "."), c.string(2))
	return OK
}

// sharedValue is an entry of the VM's shared data.
type sharedValue struct {
	value []byte
	cas   uint32
}

func hostGetSharedData(c args) Status {
	v, ok := c.v.w.shared[c.string(0)]
	if !ok {
		return NotFound
	}
	if st := c.v.give(v.value, c.u32(2), c.u32(3)); st != OK {
		return st
	}
	return c.return32(4, v.cas)
}

func hostSetSharedData(c args) Status {
	key, value, cas := c.string(0), c.string(2), c.u32(4)
	old, ok := c.v.w.shared[key]
	if cas != 0 && ok && cas != old.cas {
		return CasMismatch
	}
	c.v.w.shared[key] = sharedValue{[]byte(value), old.cas + 1}
	return OK
}
