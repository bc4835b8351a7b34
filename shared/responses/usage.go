package responses

import (
	"strconv"

	"antwort/shared/jsontext"
)

// FindUsage reads the usage object at the end of a path in a document, of this
// API or an older one of OpenAI's, false when there is none. The document is not parsed: it is the upstream's and
// passes as it is. Of one that is no valid JSON the counts mean nothing.
func FindUsage(document []byte, path ...string) (u Usage, ok bool) {
	for _, key := range path {
		if document, ok = jsontext.LastMember(document, key); !ok {
			return Usage{}, false
		}
	}
	if len(document) == 0 || document[0] != '{' {
		return Usage{}, false
	}
	for m := jsontext.NewBackwards(document); m.Next(); {
		switch string(m.Key) {
		case "input_tokens", "prompt_tokens":
			u.Input = count(m.Value())
		case "output_tokens", "completion_tokens":
			u.Output = count(m.Value())
		case "total_tokens":
			u.Total = count(m.Value())
		case "input_tokens_details", "prompt_tokens_details":
			n, _ := jsontext.LastMember(m.Value(), "cached_tokens")
			u.Cached = count(n)
		case "output_tokens_details", "completion_tokens_details":
			n, _ := jsontext.LastMember(m.Value(), "reasoning_tokens")
			u.Reasoning = count(n)
		}
	}
	return u, true
}

func count(value []byte) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Add adds the counts of another answer.
func (u *Usage) Add(other Usage) {
	u.Input += other.Input
	u.Output += other.Output
	u.Total += other.Total
	u.Cached += other.Cached
	u.Reasoning += other.Reasoning
}
