package envoyrun

import (
	"bytes"
	"slices"
	"strconv"
)

// What Envoy calls the filter's metrics is not all that antwort serve calls them. Envoy counts
// time in whole milliseconds, and knows no label that is the same for all of ours.
var (
	ours            = []byte("antwort_")
	firstTokenInMS  = []byte("antwort_time_to_first_token_ms")
	firstTokenName  = []byte("gen_ai_server_time_to_first_token_seconds")
	comment         = []byte("# ")
	bound           = []byte(`le="`)
	sumOfFirstToken = append(firstTokenInMS[:len(firstTokenInMS):len(firstTokenInMS)], "_sum"...)
)

// asServed is a page of metrics, ours as antwort serve has them.
func asServed(page []byte, provider string) []byte {
	out := make([]byte, 0, len(page)+len(page)/4)
	for line := range bytes.Lines(page) {
		switch {
		case bytes.HasPrefix(line, firstTokenInMS):
			out = appendFirstToken(out, line, provider)
		case bytes.HasPrefix(line, ours):
			out = appendLabelled(out, line, "provider", provider)
		case bytes.HasPrefix(line, comment):
			out = append(out, bytes.Replace(line, firstTokenInMS, firstTokenName, 1)...)
		default:
			out = append(out, line...)
		}
	}
	return out
}

// appendLabelled appends a sample with one label more.
func appendLabelled(dst, line []byte, label, value string) []byte {
	at, labels := bytes.IndexAny(line, "{ "), []byte(nil)
	if at < 0 {
		return append(dst, line...)
	}
	name, rest := line[:at], line[at:]
	if rest[0] == '{' {
		if rest = rest[1:]; rest[0] != '}' {
			labels = []byte(",")
		}
	} else {
		rest = append([]byte("}"), rest...)
	}
	dst = append(append(dst, name...), '{')
	dst = strconv.AppendQuote(append(append(dst, label...), '='), value)
	return append(append(dst, labels...), rest...)
}

// appendFirstToken appends a sample of the times to the first token, in seconds.
func appendFirstToken(dst, line []byte, provider string) []byte {
	line = slices.Clone(line)
	if before, after, found := bytes.Cut(line, bound); found {
		ms, rest, _ := bytes.Cut(after, []byte(`"`))
		line = slices.Concat(before, bound, inSeconds(ms), []byte(`"`), rest)
	} else if at := bytes.LastIndexByte(line, ' '); bytes.HasPrefix(line, sumOfFirstToken) && at > 0 {
		line = slices.Concat(line[:at+1], inSeconds(bytes.TrimSpace(line[at:])), []byte("\n"))
	}
	return appendLabelled(dst, bytes.Replace(line, firstTokenInMS, firstTokenName, 1), "gen_ai_provider_name", provider)
}

// inSeconds is a number of milliseconds as one of seconds; what is none stays.
func inSeconds(ms []byte) []byte {
	n, err := strconv.ParseFloat(string(ms), 64)
	if err != nil || string(ms) == "+Inf" {
		return ms
	}
	return strconv.AppendFloat(nil, n/1000, 'g', -1, 64)
}
