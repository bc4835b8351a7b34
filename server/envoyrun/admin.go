package envoyrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// admin asks Envoy's admin interface, which listens on a Unix socket.
type admin struct{ client *http.Client }

func newAdmin(socket string) *admin { return &admin{unixClient(socket)} }

// unixClient sends every request to a Unix socket.
func unixClient(socket string) *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
		DisableCompression: true,
		MaxIdleConns:       2,
		IdleConnTimeout:    time.Minute,
	}}
}

// adminTime is how long an answer may take: compiling a filter keeps Envoy's
// main thread busy for seconds.
const adminTime = 30 * time.Second

// call returns the body of an answer.
func (a *admin) call(ctx context.Context, method, target string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("envoy answers %s to %s: %s", resp.Status, target, firstLine(body))
	}
	return body, err
}

// stat returns one statistic as Envoy's text has it, "" while there is none.
func (a *admin) stat(ctx context.Context, name string) (string, error) {
	body, err := a.call(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape("^"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		return "", err
	}
	_, value, _ := bytes.Cut(bytes.TrimSpace(body), []byte(": "))
	return string(value), nil
}

// text is a statistic that is a text.
func (a *admin) text(ctx context.Context, name string) (string, error) {
	value, err := a.stat(ctx, name)
	if err != nil || value == "" {
		return "", err
	}
	var text string
	if err := json.Unmarshal([]byte(value), &text); err != nil {
		return "", fmt.Errorf("envoy's statistic %s is no text: %s", name, value)
	}
	return text, nil
}

// number is a counter or a gauge, 0 while there is none.
func (a *admin) number(ctx context.Context, name string) (n uint64, err error) {
	value, err := a.stat(ctx, name)
	if err != nil || value == "" {
		return 0, err
	}
	if err := json.Unmarshal([]byte(value), &n); err != nil {
		return 0, fmt.Errorf("envoy's statistic %s is no number: %s", name, value)
	}
	return n, nil
}

// prometheus returns the statistics that are not zero, in Prometheus' text form.
func (a *admin) prometheus(ctx context.Context) ([]byte, error) {
	return a.call(ctx, http.MethodGet, "/stats/prometheus?usedonly")
}

// listener returns where a listener listens.
func (a *admin) listener(ctx context.Context, name string) (string, error) {
	body, err := a.call(ctx, http.MethodGet, "/listeners?format=json")
	if err != nil {
		return "", err
	}
	var all struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return "", fmt.Errorf("envoy's list of listeners: %w", err)
	}
	for _, l := range all.Statuses {
		if l.Name == name {
			return net.JoinHostPort(l.Local.Socket.Address, fmt.Sprint(l.Local.Socket.Port)), nil
		}
	}
	return "", fmt.Errorf("envoy has no listener %s", name)
}

// Statistics of what is in flight: requests that are being answered, and bytes
// of answers that clients have not taken yet.
const (
	activeRequests = "http.api.downstream_rq_active"
	unsentBytes    = "http.api.downstream_cx_tx_bytes_buffered"
)

// drain stops Envoy's listening and has it tell its clients to go.
func (a *admin) drain(ctx context.Context) error {
	// The first makes every answer say "connection: close" (GOAWAY in HTTP/2)
	// and would leave the listeners open, the second closes them.
	for _, target := range []string{"/drain_listeners?graceful&skip_exit", "/drain_listeners"} {
		if _, err := a.call(ctx, http.MethodPost, target); err != nil {
			return err
		}
	}
	return nil
}

// idle waits until nothing is in flight, ctx ends or ended is closed, and
// returns how many requests are left.
func (a *admin) idle(ctx context.Context, ended <-chan struct{}) (left uint64, err error) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		active, err := a.number(ctx, activeRequests)
		if err == nil {
			left = active
		}
		unsent, err2 := a.number(ctx, unsentBytes)
		switch err := errors.Join(err, err2); {
		case ctx.Err() != nil:
			return left, nil
		case err != nil:
			return left, err
		case active == 0 && unsent == 0:
			return 0, nil
		}
		select {
		case <-ended:
			return left, nil
		case <-ctx.Done():
			return left, nil
		case <-poll.C:
		}
	}
}

// pollInterval is how often Envoy is asked how far it is: it announces nothing.
const pollInterval = 50 * time.Millisecond

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
