package responses

import (
	"strconv"

	"antwort/shared/jsontext"
)

// FindUsage is ReadUsage for the last member usage of a document. The document is not parsed:
// it is the upstream's and passes as it is. Of one that is no valid JSON the counts mean
// nothing.
func FindUsage(document []byte) (u Usage, ok bool) {
	object, _ := jsontext.LastMember(document, "usage")
	return ReadUsage(object)
}

// ReadUsage reads a usage object of this API or an older one of OpenAI's. It is false when
// that counts nothing, or is none.
func ReadUsage(object []byte) (u Usage, ok bool) {
	if len(object) == 0 || len(object) > usageBytes || object[0] != '{' {
		return Usage{}, false
	}
	for m := jsontext.NewBackwards(object); m.Next(); {
		switch string(m.Key) {
		case "input_tokens", "prompt_tokens":
			u.Input = count(m.Value(), &ok)
		case "output_tokens", "completion_tokens":
			u.Output = count(m.Value(), &ok)
		case "total_tokens":
			u.Total = count(m.Value(), &ok)
		case "input_tokens_details", "prompt_tokens_details":
			n, _ := jsontext.LastMember(m.Value(), "cached_tokens")
			u.Cached = count(n, nil)
		case "output_tokens_details", "completion_tokens_details":
			n, _ := jsontext.LastMember(m.Value(), "reasoning_tokens")
			u.Reasoning = count(n, nil)
		}
	}
	return u, ok
}

// usageBytes is the longest usage object that is read.
const usageBytes = 64 << 10

// mostTokens is the largest number of tokens that is one: what every reader of JSON has
// exactly.
const mostTokens = 1<<53 - 1

// count reads a number of tokens, and notes that there is one. What cannot be one is 0.
func count(value []byte, is *bool) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 || n > mostTokens {
		return 0
	}
	if is != nil {
		*is = true
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
