package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"time"
)

// Bounds of fetching a key set.
const (
	fetchTimeout = 10 * time.Second // all of it, redirects included
	maxDocument  = 1 << 20          // bytes
	maxRedirects = 3
)

// fetcher gets the document of a key set.
type fetcher func(ctx context.Context) ([]byte, error)

func fromFile(path string) fetcher {
	return func(context.Context) ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readDocument(f)
	}
}

// fromURL asks through the proxy of the environment (HTTPS_PROXY), if there is
// one: issuers are often outside of the cluster.
func fromURL(url string) fetcher {
	client := &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10, TLSHandshakeTimeout: fetchTimeout,
		},
		CheckRedirect: checkRedirect,
	}
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json, application/jwk-set+json")
		req.Header.Set("User-Agent", "antwort")
		res, err := client.Do(req)
		if err != nil {
			var at *neturl.Error
			if errors.As(err, &at) { // a query is not for logs: it may have a key
				err = at.Err
			}
			return nil, err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("status %d", res.StatusCode)
		}
		return readDocument(res.Body)
	}
}

func checkRedirect(to *http.Request, from []*http.Request) error {
	switch {
	case len(from) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case from[0].URL.Scheme == "https" && to.URL.Scheme != "https":
		return errors.New("a redirect from https to " + to.URL.Scheme)
	}
	return nil
}

func readDocument(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		return nil, fmt.Errorf("more than %d bytes", maxDocument)
	}
	return b, err
}
