package envoy

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"antwort/shared/config"
)

// address is an IP address or a name, with a port.
type address struct {
	host string
	port int
	ip   bool
}

// ipAddress accepts an IPv4 or IPv6 address without brackets.
func ipAddress(host string, port int) (address, bool) {
	_, err := netip.ParseAddr(host)
	return address{host, port, true}, err == nil
}

// socket is the address as Envoy writes it.
func (a address) socket() object {
	fields := object{{"address", a.host}, {"port_value", a.port}}
	if a.host == "::" {
		fields = append(fields, member{"ipv4_compat", true}) // every address, as Go listens on it
	}
	return object{{"socket_address", fields}}
}

// socket is the address of "host:port", or of the path of a Unix socket that
// only its owner may use.
func socket(text string) object {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return address{at.Addr().String(), int(at.Port()), true}.socket()
	}
	return object{{"pipe", object{{"path", text}, {"mode", 0o600}}}}
}

// backend is what engine.backend_url says.
type backend struct {
	address
	tls       bool
	authority string // Host field
	base      string // path in front of /v1, without a slash at the end

	files config.BackendTLS
	http2 bool
}

func parseBackend(base string) (backend, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return backend{}, errors.New("not a URL with a host")
	}
	b := backend{tls: u.Scheme == "https", authority: u.Host, base: strings.TrimRight(u.EscapedPath(), "/")}
	b.host, b.port = u.Hostname(), 80
	if b.tls {
		b.port = 443
	}
	if text := u.Port(); text != "" {
		if b.port, err = strconv.Atoi(text); err != nil {
			return backend{}, errors.New("the port is not a number")
		}
	}
	_, b.ip = ipAddress(b.host, b.port)
	return b, nil
}
