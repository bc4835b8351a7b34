package config

// Redacted is what a secret shows of itself.
const Redacted = "[redacted]"

// Secret is a text that never prints itself: not by fmt, log/slog or JSON.
// Only Reveal gives it away. Secrets are compared by their revealed texts.
type Secret struct {
	// A pointer, because fmt shows the raw content of unexported fields, and
	// of a pointer only the address.
	text *string
}

// NewSecret is the secret with this text; the empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal is the text itself, "" when there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// String is "[redacted]", or "" when there is no text.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return Redacted
}

// GoString is String: %#v shows nothing more.
func (s Secret) GoString() string { return `config.Secret("` + s.String() + `")` }

// MarshalText is String, for encoders of any kind.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Variable is an environment variable of the filter's VM.
type Variable struct {
	Name  string
	Value Secret // not set while the secret has not been resolved
}
