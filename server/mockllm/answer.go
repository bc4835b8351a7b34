package mockllm

import (
	"fmt"
	"math/rand/v2"
)

// An answer is all that is sent for one request. It holds nothing of the
// request's parser.
type answer struct {
	stream, usage      bool // stream_options.include_usage
	continuousUsage    bool // stream_options.continuous_usage_stats
	parser             bool // as with --reasoning-parser
	logprobs           bool
	topLogprobs        int
	choices            int // n
	reasoning, text    string
	nullText           bool // content is null
	refusal            string
	calls              []toolCall
	deltas             []delta
	finish, stopReason string
	promptTokens       int
	completionTokens   int
	reasoningTokens    int
	eos                bool // the end token was produced: it counts, and has a logprob
	reasoningField     string
	model              string
}

type toolCall struct{ id, name, arguments string }

type deltaKind uint8

const (
	contentDelta deltaKind = iota
	reasoningDelta
	refusalDelta
	callDelta      // id and name of a call
	argumentsDelta // a piece of its arguments
)

// A delta is one chunk of the stream. Text may be empty while a stop string is
// watched for; token is what was generated (for logprobs).
type delta struct {
	kind        deltaKind
	call        int
	text, token string
}

// A draft is what the model would say without limits.
type draft struct {
	reasoning, text, refusal string
	calls                    []toolCall
	framed                   bool // the reasoning stands between granite's marks
	named                    bool // tool_choice names a tool: finish_reason is "stop"
	forced                   bool // required or named: content is "" beside calls, not null
}

// hexID is 16 hexadecimal digits, as vLLM's ids have.
func hexID() string { return fmt.Sprintf("%016x", rand.Uint64()) } //nolint:gosec // ids of a stand-in are no secrets
