// Package header says which fields of a message go on, in either direction: those
// of one connection stay behind, what the gateway tells by itself is not taken from
// a client, and who speaks for whom is believed of trusted proxies only.
//
// Headers and what is known of their sender enter; lines for the upstream, or the
// client's fields, come out. It decides about no request.
package header

import (
	"net/http"
	"net/textproto"
	"strings"

	"antwort/server/upstream"
	"antwort/shared/policy"
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

// envoys begins the names of the fields that steer an Envoy, or speak in its name: a
// gateway or a sidecar between here and the backend would believe a client's.
const envoys = "X-Envoy-"

// addressed are fields that are for whoever answers, and so never for one
// connection (RFC 9110 section 7.6.1), whatever Connection says: the backend must
// see what was decided by. Those that routes match are too.
var addressed = map[string]bool{
	"Authorization": true, "X-Api-Key": true, "Content-Type": true, "Content-Encoding": true, "Content-Length": true, "Retry-After": true,
}

// AppendRequest appends what of a client's header is for the upstream. decisive are
// the fields that a decision depends on, which Connection does not take away. The
// client's credential comes by itself: it is for a backend that has no key of ours,
// which may be the one who checks it.
func AppendRequest(dst []byte, h http.Header, decisive map[string]string) (lines, credential []byte) {
	named := connectionFields(h)
	for _, name := range decisive {
		delete(named, name)
	}
	for name, values := range h {
		if hopByHop[name] || ourOwn[name] || named[name] || tellsForwarding(name) || policy.IsReserved(name) || strings.HasPrefix(name, envoys) {
			continue
		}
		for _, v := range values {
			if name == "Authorization" || name == "X-Api-Key" {
				credential = upstream.AppendField(credential, name, v)
			} else {
				dst = upstream.AppendField(dst, name, v)
			}
		}
	}
	return append(dst, "Accept-Encoding: identity\r\n"...), credential
}

// AppendCredential appends the fields of a client's header that are its credential.
func AppendCredential(dst []byte, h http.Header) []byte {
	for _, name := range [...]string{"Authorization", "X-Api-Key"} {
		for _, value := range h[name] {
			dst = upstream.AppendField(dst, name, value)
		}
	}
	return dst
}

// AppendIdentity tells the upstream who calls; nil is nobody.
func AppendIdentity(dst []byte, caller *policy.Identity) []byte {
	if caller == nil {
		return dst
	}
	dst = upstream.AppendField(dst, "X-Antwort-Subject", caller.Subject)
	if caller.Tenant != "" {
		dst = upstream.AppendField(dst, "X-Antwort-Tenant", caller.Tenant)
	}
	return dst
}

// CopyAnswer copies what of an answer's header is for the client.
func CopyAnswer(to, from http.Header) {
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
