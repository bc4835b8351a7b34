package ingress

import (
	"bytes"
	"hash/maphash"
	"net/http"
	"strconv"
)

// net/http tidies a request's header up before a handler sees it: of
// Content-Length and Transfer-Encoding it keeps the latter, it unfolds lines, and
// takes LF for CRLF. A proxy in front may read such a header in another way, and
// so see other requests in the same bytes (RFC 9112 section 11.2). So the header
// is read here too, strictly, and a request is refused when it could be read in
// another way, or when net/http has read it in another way than header.

// header reads a request's header as it comes.
type header struct {
	kept   []byte // its bytes so far, when they came in several reads
	at     int    // where the line begins that has not ended
	looked int    // for that line's end, up to here
	lines  int    // that have ended

	line    uint64 // hash of the request line
	http11  bool
	http2   bool   // it is none, but HTTP/2 begins (RFC 9113 section 3.4)
	problem string // first thing that others may read differently
	length  int64  // of the body, -1 when there is no such field
	coded   bool   // chunked, or by a coding that net/http refuses
}

var methodSeed, targetSeed, versionSeed = maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()

// read takes what came next of a header, and perhaps more. It returns the number
// of bytes of p that belong to the header; whole tells that it has ended there.
func (h *header) read(p []byte) (n int, whole bool) {
	text, before := p, len(h.kept)
	if before > 0 {
		h.kept = append(h.kept, p...)
		text = h.kept
	}
	end, whole := h.scan(text)
	switch {
	case whole:
		h.kept = nil
	case before == 0:
		h.kept = append(h.kept, p...)
	}
	return end - before, whole
}

// scan reads the lines of text that were not read before.
func (h *header) scan(text []byte) (n int, whole bool) {
	for {
		i := bytes.IndexByte(text[h.looked:], '\n')
		if i < 0 {
			h.looked = len(text)
			return len(text), false
		}
		end := h.looked + i + 1
		line := text[h.at:end]
		h.at, h.looked = end, end
		if len(line) < 2 || line[len(line)-2] != '\r' {
			h.note("a line of the header ends with LF instead of CRLF")
			line = line[:len(line)-1]
		} else {
			line = line[:len(line)-2]
		}
		h.lines++
		switch {
		case h.lines == 1:
			h.requestLine(line)
		case len(line) == 0:
			h.judge()
			return end, true
		case line[0] == ' ' || line[0] == '\t':
			h.note("a line of the header is folded")
		default:
			h.field(line)
		}
	}
}

func (h *header) note(problem string) {
	if h.problem == "" {
		h.problem = problem
	}
}

func (h *header) requestLine(line []byte) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	h.line = maphash.Bytes(methodSeed, method) ^ maphash.Bytes(targetSeed, target) ^ maphash.Bytes(versionSeed, version)
	h.length = -1
	h.http2 = string(line) == "PRI * HTTP/2.0"
	h.http11 = bytes.HasSuffix(line, []byte(" HTTP/1.1"))
}

var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
)

// field reads a line after the first.
func (h *header) field(line []byte) {
	colon := bytes.IndexByte(line, ':')
	switch {
	case colon == len(contentLength) && bytes.EqualFold(line[:colon], contentLength):
		if h.length >= 0 { // net/http takes equal ones
			h.note("content-length is given more than once")
			return
		}
		n, err := strconv.ParseUint(string(bytes.Trim(line[colon+1:], " \t")), 10, 63)
		if err != nil {
			h.note("content-length is no number")
			return
		}
		h.length = int64(n)
	case colon == len(transferEncoding) && bytes.EqualFold(line[:colon], transferEncoding):
		h.coded = true
	}
}

// judge looks at the whole header.
func (h *header) judge() {
	switch {
	case h.coded && h.length >= 0:
		h.note("content-length and transfer-encoding exclude each other")
	case h.coded && !h.http11:
		h.note("HTTP/1.0 has no transfer-encoding")
	}
}

// differs says what others may read differently in a request, "" for nothing.
func (h *header) differs(r *http.Request) string {
	if h.problem != "" {
		return h.problem
	}
	length := max(h.length, 0)
	if h.coded {
		length = -1
	}
	line := maphash.String(methodSeed, r.Method) ^ maphash.String(targetSeed, r.RequestURI) ^ maphash.String(versionSeed, r.Proto)
	if line != h.line || length != r.ContentLength {
		return "its header is not the one that was sent"
	}
	return ""
}
