package envoyrun

import (
	"fmt"
	"net"
	"strconv"

	"antwort/shared/config"
)

// free checks that nobody listens where Envoy is to listen: Envoy shares its
// port with any process of the same user that shares it too, and then every
// other connection goes astray.
func free(keys, host string, port int) error {
	if port == 0 {
		return nil
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w", keys, address, err)
	}
	return ln.Close()
}

// portsAreFree checks those that before does not have yet; nil has none.
func portsAreFree(before, next *config.Config) error {
	if before == nil {
		before = &config.Config{}
	}
	if s, had := &next.Server, &before.Server; s.Host != had.Host || s.Port != had.Port {
		if err := free("server.host, server.port", s.Host, s.Port); err != nil {
			return err
		}
	}
	if a := next.Server.Admin; a != before.Server.Admin {
		return free("server.admin", a.Host, a.Port)
	}
	return nil
}
