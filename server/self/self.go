// Package self knows which addresses are a server's own, so that none of them is
// taken for a backend: requests would come back to it without end. Configurations
// enter, and where they are listened for; nobody is asked, so that a name that
// leads here by DNS is not found.
package self

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"antwort/shared/config"
)

// Check refuses a configuration with a backend that is the server itself, which
// listens, or will listen, on host and port; port 0 is not known yet.
func Check(c *config.Config, host string, port int) error {
	if port == 0 {
		return nil
	}
	for i, route := range c.AllRoutes() {
		for j, b := range route.Backends {
			if !isOwn(b.URL, host, port) {
				continue
			}
			key := "engine.backend_url"
			if route.Name != config.DefaultRoute {
				key = fmt.Sprintf("routes[%d].backends[%d].url", i, j)
			}
			return fmt.Errorf("%s: %s is where this server itself listens (%s): requests would come back to it without end", key, b.URL, net.JoinHostPort(host, strconv.Itoa(port)))
		}
	}
	return nil
}

func isOwn(backend, host string, port int) bool {
	u, err := url.Parse(backend)
	if err != nil {
		return false
	}
	at := u.Port()
	if at == "" {
		at = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if at != strconv.Itoa(port) {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if name == strings.ToLower(host) {
		return true
	}
	listens, to := addresses(host), addresses(name)
	for _, a := range to {
		for _, own := range listens {
			switch {
			case a == own, a.IsUnspecified() && (own.IsLoopback() || own.IsUnspecified()):
				return true
			case own.IsUnspecified() && (a.IsLoopback() || isInterface(a)):
				return true
			}
		}
	}
	return false
}

// addresses are those of an address, or of a name that needs nobody to be asked.
func addresses(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	local, _ := os.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || host != "" && strings.EqualFold(host, local) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return nil
}

// isInterface reports whether the address is one of this machine's.
func isInterface(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
