package filter

import (
	"time"

	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// uploads are the requests of a plugin whose bodies are being gathered. One that
// takes longer than server.read_timeout is ended: it holds memory of others.
type uploads map[*exchange]struct{}

// check ends those that are late. It runs in the plugin's context.
func (u uploads) check(now instant, limit time.Duration) {
	for x := range u {
		if now.since(x.begun) < limit {
			continue
		}
		delete(u, x)
		if proxywasm.SetEffectiveContext(x.id) == nil {
			x.reply(failure.SlowBody, responses.NewError(408, "request_timeout", "the request body did not arrive within "+limit.String()))
		}
	}
}

// uploading notes that the exchange's body is being gathered.
func (x *exchange) uploading() {
	if x.uploads == nil {
		x.uploads = make(uploads)
	}
	x.uploads[x] = struct{}{}
	x.wake()
}

// uploaded notes that it is no longer.
func (x *exchange) uploaded() {
	if len(x.uploads) > 0 {
		delete(x.uploads, x)
	}
}
