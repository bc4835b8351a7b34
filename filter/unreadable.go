package filter

import (
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// unreadable answers a request whose body has to be read and cannot be.
func (x *exchange) unreadable(h header) (action types.Action, refused bool) {
	if e := policy.ContentType(h.all("content-type")); e != nil {
		return x.reply(failure.WrongContentType, e), true
	}
	if coding := policy.Coding(h.all("content-encoding")); coding != "" {
		return x.reply(failure.UnsupportedEncoding, policy.WrongCoding(coding, "none"), [2]string{"accept-encoding", "identity"}), true
	}
	return 0, false
}
