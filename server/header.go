package server

import (
	"net/http"
	"net/textproto"
	"strings"

	"antwort/server/upstream"
)

// hopByHop are the fields that concern one connection (RFC 9110 section 7.6.1).
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// ourOwn are the request fields that a forwarded request has from us: framing,
// an identity coding (events must be readable), no wait for 100 Continue (the
// body is sent anyway), the request id, and the marks of who passed it on.
var ourOwn = map[string]bool{
	"Host": true, "Content-Length": true, "Accept-Encoding": true, "Expect": true, "X-Request-Id": true, hopField: true,
}

// addressed are fields that are for whoever answers, and so never for one
// connection (RFC 9110 section 7.6.1), whatever Connection says: the backend must
// see what was decided by. Those that routes match are too.
var addressed = map[string]bool{
	"Authorization": true, "X-Api-Key": true, "Content-Type": true, "Content-Encoding": true, "Content-Length": true, "Retry-After": true,
}

// forwardHeader is the client's header for the upstream, with what we know of
// the caller; own is the client's credential, for a backend that has no key of
// ours: it may be the one who checks it.
func (x *exchange) forwardHeader() (b, own []byte) {
	b = make([]byte, 0, 512)
	h := x.r.Header
	named := connectionFields(h)
	for _, name := range x.gen.fields { // decisions depend on them
		delete(named, name)
	}
	for name, values := range h {
		if hopByHop[name] || ourOwn[name] || named[name] || tellsForwarding(name) || x.withheld(name) {
			continue
		}
		for _, v := range values {
			if name == "Authorization" || name == "X-Api-Key" {
				own = upstream.AppendField(own, name, v)
			} else {
				b = upstream.AppendField(b, name, v)
			}
		}
	}
	b = append(b, "Accept-Encoding: identity\r\n"...)
	b = upstream.AppendField(b, "X-Request-Id", x.rec.ID)
	b = x.appendHop(x.appendForwarded(b))
	return x.appendIdentity(b), own
}

// copyAnswerHeader copies what of an answer's header is for the client.
func copyAnswerHeader(to, from http.Header) {
	named := connectionFields(from)
	for name, values := range from {
		if !hopByHop[name] && !named[name] {
			to[name] = values
		}
	}
}

// connectionFields are the fields that Connection names, but for those that are
// addressed to others.
func connectionFields(h http.Header) map[string]bool {
	var named map[string]bool
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if name == "" || addressed[name] {
				continue
			}
			if named == nil {
				named = make(map[string]bool)
			}
			named[name] = true
		}
	}
	return named
}
