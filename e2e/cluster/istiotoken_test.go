package cluster

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/shared/corpus"
)

// jwks is where the rendered RequestAuthentication has the issuer's keys. There
// is no issuer in the cluster, so the keys themselves stand in its place.
var jwks = regexp.MustCompile(`jwksUri: .*`)

// The cases of tokens that server and Envoy know too, with Istio's verifier: what
// antwort render istio prints for auth.type jwt, on top of a running gateway.
func TestIstioTokens(t *testing.T) {
	llm(t)
	privileged(t, "antwort")
	all, err := corpus.LoadTokens()
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := corpus.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, "quickstarts/06-responses-proxy/istio", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)

	manifests, err := os.ReadFile(filepath.Join(tree, "istio/authentication/manifests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, document := range strings.Split(string(manifests), "\n---\n") {
		if strings.Contains(document, "kind: RequestAuthentication") || strings.Contains(document, "-token\n") {
			tokens = append(tokens, document)
		}
	}
	if len(tokens) != 3 {
		t.Fatalf("want a RequestAuthentication, an AuthorizationPolicy and an EnvoyFilter, got %d documents", len(tokens))
	}
	text := jwks.ReplaceAllString(strings.Join(tokens, "\n---\n"), "jwks: '"+string(issuer.JWKS())+"'")
	text = strings.ReplaceAll(text, `audiences: ["antwort"]`, `audiences: ["antwort", "antwort-next"]`)
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "-n", "antwort", "-f", file)
	t.Cleanup(func() { kubectl(t, "delete", "-n", "antwort", "-f", file, "--ignore-not-found") })
	kubectl(t, "patch", "wasmplugin", "-n", "antwort", "antwort-frontend", "--type=merge", "-p", `{"spec":{"pluginConfig":{"auth":`+string(all.Auth)+`}}}`)
	fails(t, url, 401, "missing_token")
	for i := range all.Cases {
		if all.Cases[i].Body != "" {
			all.Cases[i].Body = capital
		}
	}
	// Istio's part and the filter's come by different ways: each must be there. A
	// second credential is nothing to Istio, and refused by the filter.
	becomes := func(name string, want int) {
		t.Helper()
		i := slices.IndexFunc(all.Cases, func(c corpus.TokenCase) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("there is no case %q", name)
		}
		r := all.Cases[i].Request(issuer)
		eventually(t, 60*time.Second, func() error {
			status, body, err := wire(url, &r)
			if err == nil && status != want {
				err = fmt.Errorf("%s: want %d, got %s", name, want, body)
			}
			return err
		})
	}
	becomes("good", 200)
	becomes("another credential first", 401)
	for i := range all.Cases {
		c := &all.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			r := c.Request(issuer)
			status, body, err := wire(url, &r)
			if err != nil {
				t.Fatal(err)
			}
			// Istio knows one way to write the scheme.
			if strings.HasPrefix(c.Name, "scheme in ") && status == 401 {
				return
			}
			if c.Status == 200 {
				if status != 200 {
					t.Errorf("want 200, got %d %s", status, body)
				}
				return
			}
			odd := c.Target != "/v1/responses" && (status == 400 || status == 403 || status == 404)
			if !odd && (status != c.Status || !strings.Contains(body, `"error"`)) {
				t.Errorf("want %d, got %d %s", c.Status, status, body)
			}
		})
	}
}

// wire sends a request as it stands.
func wire(url string, r *corpus.AccessCase) (status int, body string, err error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), 10*time.Second)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := conn.Write(r.Wire("gateway")); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, strconv.Itoa(resp.StatusCode) + " " + string(text), err
}
