package istio

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// backend is a Service of the cluster.
type backend struct {
	Service   string
	Namespace string // "" is the gateway's own
	Port      int
	TLS       bool
}

// Host names the Service in Istio's own resources.
func (b backend) Host() string {
	if b.Namespace == "" {
		return b.Service
	}
	return b.Service + "." + b.Namespace + ".svc.cluster.local"
}

var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// parseBackend reads http://NAME, http://NAME.NAMESPACE or
// http://NAME.NAMESPACE.svc.cluster.local, each with its port.
func parseBackend(raw string) (backend, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return backend{}, errors.New("not a URL")
	}
	b := backend{Port: 80, TLS: u.Scheme == "https"}
	if b.TLS {
		b.Port = 443
	}
	if p := u.Port(); p != "" {
		if b.Port, err = strconv.Atoi(p); err != nil {
			return backend{}, fmt.Errorf("bad port %q", p)
		}
	}
	if u.Path != "" && u.Path != "/" {
		return backend{}, fmt.Errorf("the URL must have no path, for Istio's routes keep the request's: got %s", u.Path)
	}
	host := strings.TrimSuffix(strings.TrimSuffix(u.Hostname(), ".cluster.local"), ".svc")
	b.Service, b.Namespace, _ = strings.Cut(host, ".")
	if !label.MatchString(b.Service) || b.Namespace != "" && !label.MatchString(b.Namespace) {
		return backend{}, fmt.Errorf("want a Service of the cluster, http://NAME:PORT or http://NAME.NAMESPACE.svc.cluster.local:PORT, got %s: put a Service in front of what is outside", raw)
	}
	return b, nil
}

// seconds is a duration as Istio's APIs take it.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
