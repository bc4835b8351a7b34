package filter

import "antwort/wasm/abi"

// requestHeader reads the request's header. Its array is used again for the next
// request's, its text for another exchange's.
func (x *exchange) requestHeader() header { return read(&x.asked, &x.texts[0], abi.RequestHeaders) }

// answerHeader reads the answer's header likewise.
func (x *exchange) answerHeader() header {
	return read(&x.answered, &x.texts[1], abi.ResponseHeaders)
}

func read(into *header, text *[]byte, headerMap uint32) header {
	h, ok := abi.AppendFields((*into)[:0], text, headerMap)
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
