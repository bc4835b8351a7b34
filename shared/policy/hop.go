package policy

import "strings"

// HopField is the field of requests in which each server and filter that passes
// one on leaves its mark (RFC 8586 section 2).
const HopField = "cdn-loop"

// Hop is the mark of one server or filter. random is its own: two of them in a
// row are no loop, whatever they have in common.
func Hop(random string) string { return "antwort-" + random }

// CameBack reports whether the values of HopField have the mark: the request has
// been here before.
func CameBack(values []string, hop string) bool {
	for _, list := range values {
		for one := range strings.SplitSeq(list, ",") {
			id, _, _ := strings.Cut(one, ";") // parameters
			if strings.Trim(id, " \t") == hop {
				return true
			}
		}
	}
	return false
}
