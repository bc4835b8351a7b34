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

func isName(s string) bool {
	if s == "" || len(s) > 253 || s[0] == '.' || s[0] == '-' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if !isAlphanumeric(b) && b != '.' && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

// isIPv6 reports whether s is an IPv6 address (RFC 4291 section 2.2) without
// zone and brackets.
func isIPv6(s string) bool {
	left, right, short := strings.Cut(s, "::")
	before, ok := countGroups(left, !short)
	after, okAfter := countGroups(right, true)
	switch {
	case !ok || !okAfter:
		return false
	case short:
		return before+after < 8
	}
	return before == 8
}

// countGroups counts the 16-bit groups of a part of an address; the last one
// may be an IPv4 address, which makes two.
func countGroups(s string, last bool) (n int, ok bool) {
	if s == "" {
		return 0, true
	}
	for s, more := s, true; more; n++ {
		var group string
		group, s, more = strings.Cut(s, ":")
		if !more && last && isIPv4(group) {
			n++
			continue
		}
		if _, err := strconv.ParseUint(group, 16, 16); err != nil || len(group) > 4 {
			return 0, false
		}
	}
	return n, true
}

func isIPv4(s string) bool {
	for number := range strings.SplitSeq(s, ".") {
		if _, err := strconv.ParseUint(number, 10, 8); err != nil || len(number) > 1 && number[0] == '0' {
			return false
		}
	}
	return strings.Count(s, ".") == 3
}

// isNetwork reports whether s is an IP address or a network in CIDR form
// (RFC 4632 section 3.1, RFC 4291 section 2.3).
func isNetwork(s string) bool {
	address, length, masked := strings.Cut(s, "/")
	bits := uint64(32)
	switch {
	case isIPv6(address):
		bits = 128
	case !isIPv4(address):
		return false
	case !masked:
		return true
	}
	n, err := strconv.ParseUint(length, 10, 8)
	return !masked || err == nil && n <= bits && (length[0] != '0' || n == 0 && length == "0")
}

// isPath reports whether s, the path without its first slash, may stand in a
// base: no ".", ".." and empty segments, but any number of slashes at the end.
func isPath(s string) bool {
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case !isAlphanumeric(b) && !strings.ContainsRune("-._~!$&'()*+,;=:/", rune(b)):
			return false
		}
	}
	s = strings.TrimRight(s, "/")
	if s == "" {
		return true
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

func isAlphanumeric(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// isListenHost reports whether the server can be told to listen there.
func isListenHost(s string) bool {
	if strings.Contains(s, ":") {
		return isIPv6(s)
	}
	return isName(s)
}

// isOrigin reports whether s is the origin of a page as browsers send it
// (RFC 6454 section 6.2: in lower case, without a path and a default port), or
// "*".
func isOrigin(s string) bool {
	scheme, host, ok := strings.Cut(s, "://")
	switch {
	case s == "*":
		return true
	case !ok || scheme == "" || host == "" || s != strings.ToLower(s) || !isGraphic(s) || strings.ContainsAny(host, "/?#@*,"):
		return false
	case scheme == "http" && strings.HasSuffix(host, ":80"), scheme == "https" && strings.HasSuffix(host, ":443"):
		return false // browsers leave it out
	}
	return true
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
