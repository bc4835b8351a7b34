package filter

import "antwort/wasm/abi"

// requestHeader reads the request's header. Its array is used again for the next
// request's.
func (v *vm) requestHeader() header { return read(&v.asked, abi.RequestHeaders) }

// answerHeader reads the answer's header likewise.
func (v *vm) answerHeader() header { return read(&v.answered, abi.ResponseHeaders) }

func read(into *header, headerMap uint32) header {
	h, ok := abi.AppendFields((*into)[:0], headerMap)
	if !ok {
		panic("the host has no header")
	}
	*into = h
	return h
}

// requestChunk reads the chunk of the running body callback. It is valid until
// the next read of the host.
func requestChunk(size int) []byte { return chunk(size, abi.RequestBody) }

func answerChunk(size int) []byte { return chunk(size, abi.ResponseBody) }

func chunk(size int, buffer uint32) []byte {
	if size == 0 {
		return nil
	}
	b, ok := abi.ReadBuffer(buffer)
	if !ok {
		panic("the host has no body")
	}
	return b
}
