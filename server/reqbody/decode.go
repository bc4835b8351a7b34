package reqbody

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"antwort/server/buffer"
	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// readCompressed decodes a body while it is read; a small one that would
// become very large stops at the limit.
func (b *Body) readCompressed(coding string) (*buffer.Buffer, *failure.Failure) {
	source := &meteredReader{r: b.r.Body, left: b.limits.Bytes}
	buf := buffer.Metered(b.held)
	window, err := b.decode(buf, source, coding)
	b.held.LetGo(window)
	source.r = nil // decoders stay, the request does not
	switch {
	case err == nil:
		return buf, nil
	case source.err != nil:
		buf.Put()
		return nil, b.failed(source.err)
	case errors.Is(err, buffer.ErrNoRoom):
		buf.Put()
		return nil, b.failed(err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		buf.Put()
		return nil, failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			fmt.Sprintf("the request body needs a zstd window over %d bytes: compress it with a lower level", zstdWindow))).Because(err).With("Connection", "close")
	case errors.Is(err, buffer.ErrTooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		buf.Put()
		return nil, failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large",
			fmt.Sprintf("the decompressed request body is over this server's limit of %d bytes", b.limits.Decoded))).With("Connection", "close")
	default:
		buf.Put()
		return nil, failure.Of(failure.BadBody, responses.NewError(http.StatusBadRequest, "invalid_body", "the request body is not valid "+strings.TrimPrefix(coding, "x-"))).Because(err)
	}
}

// decode appends what r decodes to. It returns how much was charged for the
// decoder.
func (b *Body) decode(buf *buffer.Buffer, r io.Reader, coding string) (charged int, err error) {
	if coding == "zstd" {
		peeked := bufio.NewReaderSize(r, zstd.HeaderMaxSize)
		charged = windowOf(peeked)
		if !b.held.Hold(charged) {
			return 0, buffer.ErrNoRoom
		}
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		if err := d.Reset(peeked); err != nil {
			return charged, err
		}
		defer d.Reset(nil) //nolint:errcheck // only lets go of r
		return charged, buf.ReadAll(d, b.limits.Decoded)
	}
	d := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(d)
	if err := d.Reset(r); err != nil {
		return 0, err
	}
	return 0, buf.ReadAll(d, b.limits.Decoded)
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
