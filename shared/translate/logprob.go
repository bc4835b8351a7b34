package translate

import "antwort/shared/jsontext"

// isRendered reports whether an entry of a chat answer's logprobs is, to the byte, what
// appendLogprobs makes of it. Most are: they need no parse tree.
func isRendered(entry []byte) bool {
	l := logprobText{entry}
	if !l.record() || !l.text(`,"top_logprobs":[`) {
		return false
	}
	if l.text(`]}`) {
		return len(l.rest) == 0
	}
	for l.record() && l.text(`}`) {
		if l.text(`]}`) {
			return len(l.rest) == 0
		}
		if !l.text(`,`) {
			break
		}
	}
	return false
}

// logprobText is what is left of an entry that is looked at.
type logprobText struct{ rest []byte }

// record takes a token with its logprob and its bytes, up to the closing brace.
func (l *logprobText) record() bool {
	if !l.text(`{"token":"`) {
		return false
	}
	n, ok := jsontext.Rendered(l.rest)
	if !ok {
		return false
	}
	l.rest = l.rest[n:]
	if !l.text(`","logprob":`) || !l.number() || !l.text(`,"bytes":[`) {
		return false
	}
	if l.text(`]`) {
		return true
	}
	for l.number() {
		if l.text(`]`) {
			return true
		}
		if !l.text(`,`) {
			break
		}
	}
	return false
}

// text is not inlined: its copies were 3 KB of the filter.
//
//go:noinline
func (l *logprobText) text(s string) bool {
	if len(l.rest) < len(s) || string(l.rest[:len(s)]) != s {
		return false
	}
	l.rest = l.rest[len(s):]
	return true
}

func (l *logprobText) number() bool {
	n := jsontext.Number(l.rest)
	l.rest = l.rest[n:]
	return n > 0
}
