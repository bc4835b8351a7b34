package filter

import (
	"slices"

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
func (h header) all(name string) []string { return h.appendAll(nil, name) }

// appendAll appends them to values.
//
//go:noinline
func (h header) appendAll(values []string, name string) []string {
	for i := range h {
		if h[i][0] == name {
			values = append(values, h[i][1])
		}
	}
	return values
}

// lengths has bit n set where the name of some field has n bytes: most fields that
// are asked for are not there, and need no comparison of names.
//
//go:noinline
func (h header) lengths() (set uint64) {
	for i := range h {
		set |= 1 << len(h[i][0])
	}
	return set
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
//
//go:noinline
func (h header) length() int64 {
	return digits(h.get("content-length"))
}

// digits reads a number of up to 62 bits that is written in nothing but digits; -1 for
// anything else.
//
//go:noinline
func digits(s string) (n int64) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 || n > (1<<62-10)/10 {
			return -1
		}
		n = 10*n + int64(c)
	}
	if s == "" {
		return -1
	}
	return n
}

// status is the response's status, 0 without one.
func (h header) status() int {
	return int(max(0, digits(h.get(":status"))))
}

// removeRequest removes the fields that there are.
func (h header) removeRequest(names ...string) {
	lengths := h.lengths()
	for _, name := range names {
		if lengths>>len(name)&1 != 0 && h.has(name) {
			must(proxywasm.RemoveHttpRequestHeader(name))
		}
	}
}

// removeAnswer does so in the answer.
//
//go:noinline
func (h header) removeAnswer(names ...string) {
	lengths := h.lengths()
	for _, name := range names {
		if lengths>>len(name)&1 != 0 && h.has(name) {
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
