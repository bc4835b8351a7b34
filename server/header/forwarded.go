package header

import (
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"antwort/server/upstream"
)

// What proxies say of the client (X-Forwarded-…, RFC 7239). Anybody can say it,
// so only those of server.trusted_proxies are believed; what others say is
// replaced by what the connection shows.

// forwarded begins the names of the fields that say it.
const forwarded = "X-Forwarded-"

// tellsForwarding reports whether a field says it, also to a backend that takes
// _ for - (CGI, WSGI). Any field of the kind does: X-Forwarded-User is who a
// proxy has let in.
func tellsForwarding(name string) bool {
	if strings.Contains(name, "_") {
		name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	return strings.HasPrefix(name, forwarded) || name == "Forwarded" || name == "X-Real-Ip"
}

// Proxies are the networks of server.trusted_proxies: what those say of the client
// is believed.
type Proxies []netip.Prefix

// NewProxies reads addresses and networks.
func NewProxies(list []string) (trusted Proxies, err error) {
	for _, s := range list {
		var network netip.Prefix
		if strings.Contains(s, "/") {
			network, err = netip.ParsePrefix(s)
		} else {
			var address netip.Addr
			if address, err = netip.ParseAddr(s); err == nil {
				network = netip.PrefixFrom(address, address.BitLen())
			}
		}
		if err != nil {
			return nil, err
		}
		if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(a.Unmap(), network.Bits()-96)
		}
		trusted = append(trusted, network.Masked())
	}
	return trusted, nil
}

func (t Proxies) has(a netip.Addr) bool {
	for _, network := range t {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Peer is the address at the other end of a connection; not valid when it has
// none.
func Peer(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

// Client is where a request came from: the last address in the row of proxies
// that is not one of ours. What is no address ends the row.
func (t Proxies) Client(r *http.Request) netip.Addr {
	at := Peer(r.RemoteAddr)
	if !t.has(at) {
		return at
	}
	hops := r.Header["X-Forwarded-For"]
	for i := len(hops) - 1; i >= 0; i-- {
		for rest := hops[i]; rest != ""; {
			cut := strings.LastIndexByte(rest, ',')
			hop := hopAddress(rest[cut+1:])
			if !hop.IsValid() {
				return at
			}
			if at = hop; !t.has(at) {
				return at
			}
			rest = rest[:max(cut, 0)]
		}
	}
	return at
}

// hopAddress reads an entry of X-Forwarded-For. Some proxies give the port too.
func hopAddress(s string) netip.Addr {
	s = textproto.TrimString(s)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return Peer(s)
	}
	return a.Unmap().WithZone("")
}

// AppendForwarded tells the upstream where a request came from, secure over TLS.
// The fields of a trusted proxy are completed, others replaced.
func (t Proxies) AppendForwarded(b []byte, r *http.Request, secure bool) []byte {
	at := Peer(r.RemoteAddr)
	believed := http.Header{}
	if t.has(at) {
		believed = r.Header
	}
	hop, proto := at.String(), "http"
	if !at.IsValid() {
		hop = "unknown"
	}
	if secure {
		proto = "https"
	}
	b = upstream.AppendField(b, "X-Forwarded-For", strings.Join(append(slices.Clip(believed["X-Forwarded-For"]), hop), ", "))
	for _, field := range [...][2]string{{"X-Forwarded-Proto", proto}, {"X-Forwarded-Host", r.Host}, {"X-Forwarded-Port", localPort(r)}} {
		value := field[1]
		if given := believed[field[0]]; len(given) > 0 {
			value = strings.Join(given, ", ")
		}
		if value != "" {
			b = upstream.AppendField(b, field[0], value)
		}
	}
	for name, values := range believed {
		if rest, is := strings.CutPrefix(name, forwarded); is && !oursToTell[rest] {
			for _, value := range values {
				b = upstream.AppendField(b, name, value)
			}
		}
	}
	if given := believed["X-Real-Ip"]; len(given) > 0 {
		b = upstream.AppendField(b, "X-Real-IP", strings.Join(given, ", "))
	}
	if given := believed["Forwarded"]; len(given) > 0 {
		if at.Is6() {
			hop = `"[` + hop + `]"` // RFC 7239 section 6
		}
		b = upstream.AppendField(b, "Forwarded", strings.Join(given, ", ")+", for="+hop+";proto="+proto)
	}
	return b
}

// oursToTell are those X-Forwarded-… that every request gets.
var oursToTell = map[string]bool{"For": true, "Proto": true, "Host": true, "Port": true}

func localPort(r *http.Request) string {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	_, port, _ := net.SplitHostPort(local.String())
	return port
}
