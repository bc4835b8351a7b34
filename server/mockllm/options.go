package mockllm

import (
	"log/slog"
	"time"
)

// Options configure a Mock. The zero value serves a text model named
// /mnt/models as fast as it can.
type Options struct {
	Model           string        // served name; "" is /mnt/models
	MaxModelLen     int           // context length in tokens; 0 is 1,048,576
	Vision          bool          // accept images, audio and video; else 400 like a text model
	ReasoningParser bool          // stream and count as vLLM does with --reasoning-parser
	OpenTemplate    bool          // accept any order of messages, as a template without checks does
	APIKey          string        // when set, /v1 wants it as bearer token
	Tokens          int           // answer every prompt with this many tokens; 0 is the echo
	Burst           int           // tokens of one write; 0 is 1
	HeaderDelay     time.Duration // before the status line
	FirstDelay      time.Duration // between the header and the first token
	Delay           time.Duration // before every further token
	Log             *slog.Logger  // client aborts; nil logs nothing
}

const (
	defaultModel       = "/mnt/models"
	defaultMaxModelLen = 1 << 20
	// Version is the vLLM version whose answers these are.
	Version     = "0.32.0"
	fingerprint = "vllm-" + Version + "-mock"
)

// withDefaults are the options with what an unset one means.
func (o Options) withDefaults() Options {
	if o.Model == "" {
		o.Model = defaultModel
	}
	if o.MaxModelLen == 0 {
		o.MaxModelLen = defaultMaxModelLen
	}
	o.Burst = max(1, o.Burst)
	return o
}
