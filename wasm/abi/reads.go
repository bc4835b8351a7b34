//go:build wasip1

package abi

import (
	"math"
	"runtime"
	"slices"
	"unsafe"
)

// Numbers of header maps (proxy_map_type_t) and buffers (proxy_buffer_type_t) in
// the ABI.
const (
	RequestHeaders  = 0
	ResponseHeaders = 2
	RequestBody     = 0
	ResponseBody    = 1
)

// AppendFields appends all fields of a header map to dst, as
// proxywasm.GetHttpRequestHeaders returns them, without what the SDK allocates
// for it. Their names and values are parts of text, and change when it is used
// again. It is false when the host has no such map at present.
func AppendFields(dst [][2]string, text *[]byte, headerMap uint32) ([][2]string, bool) {
	into = text
	status := hostGetHeaderMapPairs(headerMap, ptr(&written.data), ptr(&written.size))
	b := read()
	pairs := unsafe.String(unsafe.SliceData(b), len(b))
	if status != 0 || len(pairs) < 4 {
		return dst, false
	}
	// The count; the sizes of each name and value; names and values, each with a
	// zero byte behind it.
	n := int(le32(pairs, 0))
	dst = slices.Grow(dst, n)
	fields := dst[len(dst) : len(dst)+n]
	name := 4 + 8*n
	for i := range fields {
		at := 4 + 8*i
		value := name + int(le32(pairs, at)) + 1
		end := value + int(le32(pairs, at+4))
		fields[i][0], fields[i][1] = pairs[name:value-1], pairs[value:end]
		name = end + 1
	}
	return dst[:len(dst)+n], true
}

// ReadBuffer reads a whole buffer, as proxywasm.GetHttpRequestBody does. The bytes
// are valid until the next ReadBuffer. It is false when the host
// has no such buffer at present, or nothing is in it.
func ReadBuffer(buffer uint32) ([]byte, bool) {
	into = &room
	status := hostGetBufferBytes(buffer, 0, math.MaxInt32, ptr(&written.data), ptr(&written.size))
	b := read()
	if cap(room) > maxRoom {
		room = nil // it is left to the garbage collector
	}
	if came += len(b); came >= bytesPerTurn {
		came = 0
		runtime.Gosched()
	}
	return b, status == 0 && len(b) > 0
}

// bytesPerTurn is after how many bytes of bodies the garbage collector gets a turn,
// as after streamsPerTurn streams. Large bodies are large allocations with nothing in
// them to look through: those do little of its work, and hundreds of MB of them were
// made before it had come to its end.
const bytesPerTurn = 1 << 20

var came int // bytes since its last turn

// into is what the host call that is running reads into, again and again: an allocation
// for every header and chunk is most of what reading one costs. It is nil for the SDK's
// calls. room is that of bodies.
var (
	into *[]byte
	room []byte
)

// Sizes of a room, in bytes: of any, and of one for bodies that is kept.
const (
	minRoom = 1 << 10
	maxRoom = 64 << 10
)

// makeRoom is the room for what the host is about to write.
func makeRoom(size int) []byte {
	if size > cap(*into) {
		*into = make([]byte, max(size, minRoom))
	}
	return (*into)[:size]
}

// read is what the host has written, nothing if it has not asked for room.
func read() []byte {
	b := (*into)[:written.size]
	into, written = nil, result{}
	return b
}

// le32 is the number in the 4 bytes of s from at on.
func le32(s string, at int) uint32 {
	b := s[at : at+4]
	return *(*uint32)(unsafe.Pointer(unsafe.StringData(b))) // WebAssembly is little-endian, and reads from any address
}
