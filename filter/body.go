package filter

import (
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// pauseNoBuffer is FilterDataStatus StopIterationNoBuffer of the ABI: headers
// stay held and the chunk, which was emptied, is not gathered by Envoy, so that
// its buffer limit does not matter.
const pauseNoBuffer types.Action = 3

// unreadable answers a request whose body has to be read and cannot be.
func (s *stream) unreadable(h header) (action types.Action, refused bool) {
	if e := policy.ContentType(h.all("content-type")); e != nil {
		return s.reply(wrongContentType, e), true
	}
	if coding := policy.Coding(h.all("content-encoding")); coding != "" {
		return s.reply(unsupportedEncoding, policy.WrongCoding(coding, "none"), [2]string{"accept-encoding", "identity"}), true
	}
	return 0, false
}

// body gathers a message's body in the VM's memory, chunk by chunk.
type body struct {
	s      *stream
	length int64 // by content-length, -1 when not known
	buf    []byte
	end    document
}

// add takes the next chunk. When the body is whole it returns all of it, valid
// until the next call or free. It is whole by the end of the stream, its
// length, or the end of its JSON document.
func (b *body) add(chunk []byte, end bool) (all []byte, whole bool) {
	if len(b.buf) == 0 && (end || int64(len(chunk)) == b.length) {
		return chunk, true // the usual small one: not copied
	}
	if b.buf == nil {
		b.buf = b.s.take(max(len(chunk), int(min(b.length, maxReserve))))
	}
	b.buf = append(b.buf, chunk...)
	switch {
	case end, int64(len(b.buf)) == b.length:
		return b.buf, true
	case b.length < 0:
		return b.buf, b.end.ended(b.buf)
	}
	return nil, false
}

// maxReserve is as much room as a content-length gets before its bytes have
// come.
const maxReserve = 1 << 20

// held is the memory that the body takes.
func (b *body) held() int { return cap(b.buf) }

func (b *body) free() {
	if b.buf != nil {
		b.s.give(b.buf)
		b.buf = nil
	}
}

// take returns an empty buffer with room for n bytes, used before if possible.
func (v *vm) take(n int) []byte {
	if last := len(v.free) - 1; last >= 0 {
		buf := v.free[last]
		v.free[last] = nil
		v.free = v.free[:last]
		if cap(buf) >= n {
			return buf
		}
	}
	return make([]byte, 0, max(n, 4<<10))
}

// Buffers that are kept: large ones go to the garbage collector.
const (
	keptBuffers = 16
	keptBytes   = 256 << 10
)

// give ends the use of a buffer.
func (v *vm) give(buf []byte) {
	if cap(buf) > 0 && cap(buf) <= keptBytes && len(v.free) < keptBuffers {
		v.free = append(v.free, buf[:0])
	}
}

// written keeps out, which began as v.out[:0], for the next callback.
func (v *vm) written(out []byte) {
	if cap(out) > cap(v.out) && cap(out) <= keptBytes {
		v.out = out[:0]
	}
}

// setRequestChunk puts p in the place of a chunk of the given size.
func setRequestChunk(p []byte, size int) {
	if size > 0 || len(p) > 0 {
		must(proxywasm.ReplaceHttpRequestBody(p))
	}
}

func setAnswerChunk(p []byte, size int) {
	if size > 0 || len(p) > 0 {
		must(proxywasm.ReplaceHttpResponseBody(p))
	}
}

// must is for host calls that fail only when the filter is wrong about its
// host: the request then fails closed, see recovered.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
