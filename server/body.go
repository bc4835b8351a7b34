package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"antwort/server/buffer"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// readBody reads a whole body, decoded, into a buffer that the caller puts back.
func (x *exchange) readBody() (*buffer.Buffer, *failure.Failure) {
	limit := x.gen.cfg.Limits.RequestBodyBytes
	if x.r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	buf, f := x.readDecoded(limit)
	if f == nil {
		x.unlimitReading()
	}
	return buf, f
}

func (x *exchange) readDecoded(limit int64) (*buffer.Buffer, *failure.Failure) {
	switch coding := policy.Coding(x.r.Header["Content-Encoding"]); coding {
	case "":
		buf := buffer.Metered(&x.held)
		if x.r.ContentLength > 0 { // one byte more lets the read that fills it see the end
			buf.Grow(int(min(x.r.ContentLength, 64<<10)) + 1)
		}
		if err := buf.ReadAll(x.r.Body, limit); err != nil {
			buf.Put()
			return nil, x.readError(err, limit)
		}
		return buf, nil
	case "gzip", "x-gzip", "zstd":
		return x.readCompressed(coding, limit)
	default:
		return nil, failure.Of(failure.UnsupportedEncoding, policy.WrongCoding(coding, "gzip, zstd or none")).
			With("Accept-Encoding", "gzip, zstd") // RFC 9110 section 15.5.16
	}
}

// limitReading gives the client a time to send its body (slow loris). The limit
// stays when the body is not read to its end: net/http then reads on.
func (x *exchange) limitReading() {
	control := http.NewResponseController(x.w)
	_ = control.SetReadDeadline(time.Now().Add(x.gen.cfg.Server.ReadTimeout))
	_ = control.SetWriteDeadline(time.Time{}) // an earlier answer's: 100 Continue may be written
}

// unlimitReading lets net/http watch the connection without a limit.
func (x *exchange) unlimitReading() {
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{})
}

func tooLarge(limit int64) *failure.Failure {
	return failure.Of(failure.TooLarge, policy.TooLarge(limit))
}

// readError tells what went wrong between the client and us.
func (x *exchange) readError(err error, limit int64) *failure.Failure {
	switch {
	case errors.Is(err, buffer.ErrNoRoom):
		return x.held.Refusal().With("Connection", "close")
	case errors.Is(err, buffer.ErrTooLarge):
		return tooLarge(limit).With("Connection", "close")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.Of(failure.SlowBody, responses.NewError(http.StatusRequestTimeout, "request_timeout",
			"the request body did not arrive within "+x.gen.cfg.Server.ReadTimeout.String())).Because(err).With("Connection", "close")
	case x.r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		return failure.Of(failure.ClientGone, nil).Because(err)
	default:
		return failure.Of(failure.BadBody, responses.NewError(http.StatusBadRequest, "invalid_body", "the request body could not be read: its framing is broken")).Because(err)
	}
}

// readCompressed decodes a body while it is read; a small one that would
// become very large stops at the limit.
func (x *exchange) readCompressed(coding string, limit int64) (*buffer.Buffer, *failure.Failure) {
	source := &meteredReader{r: x.r.Body, left: limit}
	buf := buffer.Metered(&x.held)
	decoded := x.gen.cfg.Limits.DecodedBodyBytes
	window, err := x.decode(buf, source, coding, decoded)
	x.held.LetGo(window)
	source.r = nil // decoders stay, the request does not
	switch {
	case err == nil:
		return buf, nil
	case source.err != nil:
		buf.Put()
		return nil, x.readError(source.err, limit)
	case errors.Is(err, buffer.ErrNoRoom):
		buf.Put()
		return nil, x.readError(err, limit)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		buf.Put()
		return nil, failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			fmt.Sprintf("the request body needs a zstd window over %d bytes: compress it with a lower level", zstdWindow))).Because(err).With("Connection", "close")
	case errors.Is(err, buffer.ErrTooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		buf.Put()
		return nil, failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			fmt.Sprintf("the decompressed request body is over this server's limit of %d bytes", decoded))).With("Connection", "close")
	default:
		buf.Put()
		return nil, failure.Of(failure.BadBody, responses.NewError(http.StatusBadRequest, "invalid_body", "the request body is not valid "+strings.TrimPrefix(coding, "x-"))).Because(err)
	}
}

// decode appends what r decodes to. It returns how much was charged for the
// decoder.
func (x *exchange) decode(buf *buffer.Buffer, r io.Reader, coding string, limit int64) (charged int, err error) {
	if coding == "zstd" {
		peeked := bufio.NewReaderSize(r, zstd.HeaderMaxSize)
		charged = windowOf(peeked)
		if !x.held.Hold(charged) {
			return 0, buffer.ErrNoRoom
		}
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		if err := d.Reset(peeked); err != nil {
			return charged, err
		}
		defer d.Reset(nil) //nolint:errcheck // only lets go of r
		return charged, buf.ReadAll(d, limit)
	}
	d := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(d)
	if err := d.Reset(r); err != nil {
		return 0, err
	}
	return 0, buf.ReadAll(d, limit)
}

// windowOf is what a decoder keeps of what it has decoded, by the header of the
// first frame.
func windowOf(r *bufio.Reader) int {
	begin, _ := r.Peek(zstd.HeaderMaxSize) // an error comes again
	var h zstd.Header
	if h.Decode(begin) != nil {
		return 0
	}
	return 2 * int(min(h.WindowSize, zstdWindow)) // it moves in a history of twice the size
}

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// zstdWindow is the largest back reference that is accepted, RFC 8878 section
// 3.1.1.1.2 recommends to support 8 MiB.
const zstdWindow = 8 << 20

var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// meteredReader stops at a limit and remembers how its source failed, which
// decoders do not pass on reliably.
type meteredReader struct {
	r    io.Reader
	left int64
	err  error
}

func (m *meteredReader) Read(p []byte) (int, error) {
	if m.r == nil {
		return 0, io.EOF
	}
	n, err := m.r.Read(p)
	if m.left -= int64(n); m.left < 0 {
		n, err = 0, buffer.ErrTooLarge
	}
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
