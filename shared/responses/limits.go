package responses

import "antwort/shared/jsontext"

// Limits bounds what a request may hold. Zero means no limit of that kind.
type Limits struct {
	Depth   int // nested JSON arrays and objects
	Values  int // JSON values in all
	Escapes int // escapes in JSON strings in all
	Items   int // entries of input
	Tools   int // entries of tools
}

// MaxMemberName is the longest name of a member that a request may have, in bytes as it is
// written. Names are compared and repeated more often than any other text.
const MaxMemberName = 1024

// MaxModel is the longest name of a model, in characters. It is compared with patterns.
const MaxModel = 256

// Answer are those of them that an answer's text is held to: how it writes its strings and
// names is no client's doing.
func (l Limits) Answer() jsontext.Limits { return jsontext.Limits{Depth: l.Depth, Values: l.Values} }

// ArgumentEscapes is how many escapes are read of the arguments of all calls, of a request or of
// an answer: half as many, for they are decoded, escaped again and told often.
func (l Limits) ArgumentEscapes() int { return (l.Escapes + 1) / 2 }

// Text are those of them that a request's text is held to.
func (l Limits) Text() jsontext.Limits {
	return jsontext.Limits{Depth: l.Depth, Values: l.Values, Escapes: l.Escapes, Name: MaxMemberName, Number: jsontext.MaxNumber}
}
