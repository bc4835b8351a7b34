package config

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// What texts of the configuration may be. None of these knows a key.

// isLine reports whether s is a not too long line of text.
func isLine(s string) bool {
	return s != "" && len(s) <= 512 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isClaimText accepts what a token may be compared with to the letter.
func isClaimText(s string) bool { return s != "" && len(s) <= 512 && isGraphic(s) }

func isVariable(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 256 && (s[0] < '0' || s[0] > '9')
}

func isMetricsPath(s string) bool {
	rest, rooted := strings.CutPrefix(s, "/")
	first, _, _ := strings.Cut(rest, "/")
	taken := oneOf("v1", "health", "healthz", "readyz", "backends", "console", "debug") // the latter on the admin port
	return rooted && rest != "" && isPath(rest) && !strings.Contains(rest, "%") && !taken(first) && !strings.HasSuffix(s, "/")
}

// isCredential reports whether a text can stand in a header as a token.
func isCredential(s string) bool {
	return len(s) >= 1 && len(s) <= 8192 && isGraphic(s)
}

// isGraphic reports whether a text is printable ASCII without spaces.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isDigest accepts a SHA-256 as hexadecimal digits.
func isDigest(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*sha256.Size
}

const anIdentity = "1 to 128 printable ASCII characters without spaces"

// isIdentity accepts what can go into a header and a log as it is.
func isIdentity(s string) bool { return s != "" && len(s) <= 128 && isGraphic(s) }

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

// isListenHost reports whether the server can be told to listen there.
func isListenHost(s string) bool {
	if strings.Contains(s, ":") {
		return isIPv6(s)
	}
	return isName(s)
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

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func isIPv4(s string) bool {
	for number := range strings.SplitSeq(s, ".") {
		if _, err := strconv.ParseUint(number, 10, 8); err != nil || len(number) > 1 && number[0] == '0' {
			return false
		}
	}
	return strings.Count(s, ".") == 3
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

// oneOf accepts these words.
//
//go:noinline
func oneOf(words ...string) func(string) bool {
	return func(s string) bool {
		for _, w := range words {
			if s == w {
				return true
			}
		}
		return false
	}
}

// isRouteName accepts what can be part of a cluster's, a metric's and a host's
// name.
func isRouteName(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64 && s[0] != '-' && s[len(s)-1] != '-'
}

// reservedFields cannot be matched: credentials must not choose a route, fields
// of the connection do not reach it, and x-antwort-… are our own.
var reservedFields = []string{
	"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key",
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host",
}

func isFieldName(name []byte) bool {
	for _, b := range name {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 128 && !oneOf(reservedFields...)(string(name)) &&
		!(len(name) > len("x-antwort") && string(name[:len("x-antwort")]) == "x-antwort")
}

func isFieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 256 && s[0] != ' ' && s[len(s)-1] != ' '
}
