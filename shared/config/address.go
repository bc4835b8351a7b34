package config

import (
	"strconv"
	"strings"
)

// baseURL is the address of a backend, to which "/v1/…" is appended, or that
// of a document.
type baseURL struct {
	at    func(*Config) *string
	whole bool // a document: path and query stay as they are
}

func (*baseURL) kind() string      { return "URL" }
func (k *baseURL) reset(c *Config) { *k.at(c) = "" }

func (*baseURL) values() string { return "http:// or https://" }

func (k *baseURL) want() string {
	if k.whole {
		return "an absolute http:// or https:// URL, such as https://issuer.example/jwks.json"
	}
	return "an absolute http:// or https:// URL, such as http://llm.example:8000"
}

func (k *baseURL) set(c *Config, in input) bool {
	if !in.isText() {
		return false
	}
	base, problem := k.parse(in.text)
	if problem != "" {
		return false
	}
	*k.at(c) = base
	return true
}

func (k *baseURL) explain(in input) string {
	if !in.isText() {
		return ""
	}
	_, problem := k.parse(in.text)
	return problem
}

func (k *baseURL) parse(s string) (url, problem string) {
	if !k.whole {
		return parseBase(s)
	}
	base, query, _ := strings.Cut(s, "?")
	if _, problem = parseBase(base); problem == "" && (!isGraphic(query) || strings.Contains(query, "#")) {
		problem = "the query has a fragment or characters that a URL cannot have"
	}
	return s, problem
}

// redact hides what may be a password or a key: user information and the query.
func (*baseURL) redact(in input) string {
	if i := strings.IndexByte(in.text, '?'); i >= 0 {
		in.text = in.text[:i] + "?" + Redacted
	}
	if i := strings.LastIndexByte(in.text, '@'); i >= 0 {
		in.text = Redacted + in.text[i:]
	}
	return in.got()
}

func (k *baseURL) text(c *Config) string { return *k.at(c) }

func (k *baseURL) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *baseURL) schema(dst []byte, _ *Config) []byte {
	if k.whole {
		return append(dst, `"type":"string","format":"uri","pattern":"^https?://[^@?#]+([?][^#]*)?$"`...)
	}
	return append(dst, `"type":"string","format":"uri","pattern":"^https?://[^@?#]+$"`...)
}

// parseBase checks the URL and cuts trailing slashes and /v1 off: http://host,
// http://host/ and http://host/v1 mean the same. It is done by
// hand because net/url is much code for the filter.
func parseBase(s string) (base, problem string) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case !ok || scheme != "http" && scheme != "https":
		return "", "it does not begin with http:// or https://"
	case strings.ContainsAny(rest, "?#"):
		return "", "it must not have a query or a fragment"
	case strings.Contains(rest, "@"):
		return "", "it must not have user information: keys are given apart"
	}
	authority, path, _ := strings.Cut(rest, "/")
	host, port, problem := cutPort(authority)
	switch {
	case problem != "":
		return "", problem
	case !isHost(host):
		return "", "the host is not a name or an IP address (IPv6 in brackets)"
	case port != "" && !isPort(port):
		return "", "the port is not a number from 1 to 65535"
	case !isPath(path):
		return "", "the path has characters or segments that a URL cannot have"
	}
	path = "/" + path
	for cut := true; cut; {
		path, cut = strings.CutSuffix(strings.TrimRight(path, "/"), "/v1")
	}
	for _, end := range []string{"/v1/responses", "/v1/chat/completions"} {
		if strings.HasSuffix(path, end) {
			return "", "give the base without " + end
		}
	}
	return scheme + "://" + authority + path, ""
}

func cutPort(authority string) (host, port, problem string) {
	end := strings.LastIndexByte(authority, ']')
	i := strings.LastIndexByte(authority, ':')
	if i <= end {
		return authority, "", ""
	}
	if i == len(authority)-1 {
		return "", "", "there is no port after the colon"
	}
	return authority[:i], authority[i+1:], ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// isHost reports whether s is a host name, an IPv4 address, or an IPv6 address
// in brackets.
func isHost(s string) bool {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		return ok && isIPv6(inside)
	}
	return isName(s)
}

// isEndpoint reports whether s is an endpoint of the API by its path behind
// /v1/, or all below one ("audio/*"); not one that is ours.
func isEndpoint(s string) bool {
	steps := strings.Split(strings.TrimSuffix(s, "/*"), "/")
	switch steps[0] {
	case "responses", "models", "v1", "healthz", "readyz", "metrics":
		return false
	}
	for _, step := range steps {
		if strings.Trim(step, ".") == "" {
			return false
		}
		for _, c := range []byte(step) {
			if !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
				return false
			}
		}
	}
	return len(s) <= 128
}
