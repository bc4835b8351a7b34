package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"antwort/shared/policy"
)

// dress completes the header of every answer: nothing but the page's own files is loaded,
// nobody frames it, nothing of it is kept, and no other page has any of it.
func dress(h http.Header) {
	h["Content-Security-Policy"] = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Frame-Options"] = []string{"DENY"}
	h["Referrer-Policy"] = []string{"no-referrer"}
	h["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	h["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=()"}
	h["Cache-Control"] = []string{"no-store"}
}

// asker is the field that only a page of this origin can send: for those of others a
// browser asks before, and is not answered.
const asker = "X-Antwort-Console"

// admits says who may ask: a page of this origin, or whoever acts like one, that has the
// token where there is one. It answers all others.
func (c *Console) admits(w http.ResponseWriter, r *http.Request) bool {
	token := c.opt.Config().Server.Admin.Token
	switch {
	case !ofThisOrigin(r):
		fail(w, http.StatusForbidden, "only the console's own page may ask")
	case r.Method == http.MethodPost && policy.ContentType(r.Header.Values("Content-Type")) != nil:
		fail(w, http.StatusUnsupportedMediaType, "questions are JSON")
	case !token.IsSet() && !c.opt.Local:
		fail(w, http.StatusForbidden, "the admin port is on an address that others reach, so the console needs a token: set server.admin.token_file")
	case token.IsSet() && !hasToken(r, token.Reveal()):
		w.Header().Set("WWW-Authenticate", "Bearer")
		fail(w, http.StatusUnauthorized, "the token of server.admin.token_file is needed")
	default:
		return true
	}
	return false
}

// ofThisOrigin reports whether a request is not one that a page of another origin has
// made a browser send.
func ofThisOrigin(r *http.Request) bool {
	if r.Header.Get(asker) == "" {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origins := r.Header.Values("Origin")
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Host != r.Host {
			return false
		}
	}
	return len(origins) <= 1
}

// hasToken compares digests, so that how long it takes says nothing of the token.
func hasToken(r *http.Request, token string) bool {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return false
	}
	scheme, credential, _ := strings.Cut(given[0], " ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.Trim(credential, " ")))
	return strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// fail answers a question with a status and a sentence.
func fail(w http.ResponseWriter, status int, problem string) {
	text, _ := json.Marshal(map[string]string{"problem": problem}) // a text has its JSON
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
