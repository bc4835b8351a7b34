package filter

import (
	"slices"
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// header is all fields of a message: lower-case names, pseudo headers first.
// One host call reads them, which costs less than a few single ones.
type header [][2]string

// get returns the first value, "" without one.
func (h header) get(name string) string {
	for i := range h {
		if h[i][0] == name {
			return h[i][1]
		}
	}
	return ""
}

// all are the values of a field, in their order.
func (h header) all(name string) (values []string) {
	for i := range h {
		if h[i][0] == name {
			values = append(values, h[i][1])
		}
	}
	return values
}

// drop removes fields from the request and from h, whose array it uses.
func (h header) drop(names ...string) header {
	h.removeRequest(names...)
	return slices.DeleteFunc(h, func(field [2]string) bool { return slices.Contains(names, field[0]) })
}

func (h header) has(name string) bool {
	for i := range h {
		if h[i][0] == name {
			return true
		}
	}
	return false
}

// length is the content-length in bytes, -1 when there is none.
func (h header) length() int64 {
	n, err := strconv.ParseUint(h.get("content-length"), 10, 62)
	if err != nil {
		return -1
	}
	return int64(n)
}

// status is the response's status, 0 without one.
func (h header) status() int {
	n, _ := strconv.Atoi(h.get(":status"))
	return n
}

// removeRequest removes the fields that there are.
func (h header) removeRequest(names ...string) {
	for _, name := range names {
		if h.has(name) {
			must(proxywasm.RemoveHttpRequestHeader(name))
		}
	}
}

func (h header) removeAnswer(names ...string) {
	for _, name := range names {
		if h.has(name) {
			must(proxywasm.RemoveHttpResponseHeader(name))
		}
	}
}

// setRequest sets a field that does not have the value yet.
func (h header) setRequest(name, value string) {
	if h.get(name) != value {
		must(proxywasm.ReplaceHttpRequestHeader(name, value))
	}
}

func (h header) setAnswer(name, value string) {
	if h.get(name) != value {
		must(proxywasm.ReplaceHttpResponseHeader(name, value))
	}
}
