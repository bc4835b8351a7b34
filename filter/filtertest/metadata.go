package filtertest

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"

	"antwort/filter/filtertest/vm"
)

// Metadata answers get_property for the dynamic metadata of a request: path is
// what follows metadata, filter_metadata. Values are as encoding/json reads them;
// Envoy gives texts as they are, numbers as 8 bytes (a double, little endian),
// booleans as one byte, objects as pairs and lists as pairs without values; null
// it cannot give. Envoy has the pairs of an object in any order.
func (st *stream) Metadata(path []string) (string, vm.Status) {
	if st.noted == nil && st.host.opt.Metadata != nil {
		st.noted = st.host.opt.Metadata(st.incoming)
	}
	var v any = st.noted
	for _, key := range path {
		var ok bool
		switch in := v.(type) {
		case map[string]any:
			v, ok = in[key]
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(in) {
				v, ok = in[i], true
			}
		}
		if !ok {
			return "", vm.NotFound
		}
	}
	b, ok := serialized(v)
	if !ok {
		return "", vm.SerializationFailure
	}
	return string(b), vm.OK
}

func serialized(v any) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return []byte(v), true
	case float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), true
	case bool:
		if v {
			return []byte{1}, true
		}
		return []byte{0}, true
	case map[string]any:
		var pairs [][2]string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b, ok := serialized(v[key])
			if !ok {
				return nil, false
			}
			pairs = append(pairs, [2]string{key, string(b)})
		}
		return (&vm.HeaderMap{Pairs: pairs}).Marshal(), true
	case []any:
		pairs := make([][2]string, len(v))
		for i := range v {
			b, ok := serialized(v[i])
			if !ok {
				return nil, false
			}
			pairs[i][0] = string(b)
		}
		return (&vm.HeaderMap{Pairs: pairs}).Marshal(), true
	}
	return nil, false
}
