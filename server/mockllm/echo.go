package mockllm

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
)

// knownAnswers are the prompts with an answer of their own.
var knownAnswers = map[string]string{
	"What is the capital of France? Answer in one sentence.": "The capital of France is Paris.",
	"What is the capital of France?":                         "The capital of France is Paris.",
	"Count from 1 to 5.":                                     "1, 2, 3, 4, 5",
}

// plainAnswer is a known answer, or the results of the tools before the echo,
// or the echo.
func plainAnswer(r *request, prompt string) string {
	if r.role(len(r.messages)-1) == "tool" {
		return toolResults(r) + "\n" + echo(r)
	}
	if known, ok := knownAnswers[strings.TrimSpace(prompt)]; ok && !goesOn(r) {
		return known
	}
	return echo(r)
}

// goesOn reports whether there was a turn before: then the answer tells all of them,
// so that one which is lost shows.
func goesOn(r *request) bool {
	for i := range r.messages {
		if r.role(i) == "assistant" {
			return true
		}
	}
	return false
}

// toolResults repeats the results that end the conversation.
func toolResults(r *request) string {
	first := len(r.messages)
	for first > 0 && r.role(first-1) == "tool" {
		first--
	}
	var results []string
	for _, msg := range r.messages[first:] {
		results = append(results, contentText(msg.Get("content")))
	}
	return "The tools say: " + strings.Join(results, "; ")
}

// echo tells everything that the request said:
//
//	I received 2 messages.
//	1 system: "You are terse."
//	2 user: "hello" [image_url image/png 118 bytes sha256:0123456789abcdef detail="low"]
//	tool 1: {"type":"function","function":{…}}
//	tool_choice: "auto"
//	parameters: model="/mnt/models" temperature=0 stream=true
//
// Strings stand as JSON, so that nothing is hidden in them. A long text of the
// assistant stands by its length and hash: said again, every turn would be twice as
// long as the one before.
func echo(r *request) string {
	var b []byte
	b = fmt.Appendf(b, "I received %d messages.", len(r.messages))
	for i, msg := range r.messages {
		b = fmt.Appendf(b, "\n%d ", i+1)
		b = appendMessage(b, msg)
	}
	for i, tool := range r.tools {
		b = fmt.Appendf(b, "\ntool %d: ", i+1)
		b = jsontext.AppendValue(b, tool)
	}
	if choice := r.body.Get("tool_choice"); choice != nil {
		b = append(b, "\ntool_choice: "...)
		b = jsontext.AppendValue(b, choice)
	}
	b = append(b, "\nparameters:"...)
	o, _ := r.body.Object()
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "messages", "tools", "tool_choice":
			return
		}
		b = append(append(append(b, ' '), key...), '=')
		b = jsontext.AppendValue(b, v)
	})
	return string(b)
}

// longText is the longest text of the assistant that is said again.
const longText = 256

func appendMessage(b []byte, msg *fastjson.Value) []byte {
	b = append(b, msg.GetStringBytes("role")...)
	o, _ := msg.Object()
	b = append(b, ':')
	switch c := msg.Get("content"); {
	case c == nil:
	case c.Type() == fastjson.TypeString && len(c.GetStringBytes()) > longText && string(msg.GetStringBytes("role")) == "assistant":
		b = appendData(b, string(c.GetStringBytes()))
	default:
		b = appendContent(b, c)
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch string(key) {
		case "role", "content":
		case "tool_calls":
			for _, call := range v.GetArray() {
				b = append(b, " calls "...)
				b = append(b, call.GetStringBytes("function", "name")...)
				b = append(b, " id="...)
				b = jsontext.AppendValue(b, orNull(call.Get("id")))
				b = append(b, " arguments="...)
				b = jsontext.AppendValue(b, orNull(call.Get("function", "arguments")))
			}
		default:
			b = append(append(append(b, ' '), key...), '=')
			b = jsontext.AppendValue(b, v)
		}
	})
	return b
}

func appendContent(b []byte, c *fastjson.Value) []byte {
	if c.Type() != fastjson.TypeArray {
		return jsontext.AppendValue(append(b, ' '), c)
	}
	for _, part := range c.GetArray() {
		if text := part.Get("text"); text != nil {
			b = append(b, " [text "...)
			b = jsontext.AppendValue(b, text)
		} else {
			b = append(b, " ["...)
			b = append(b, part.GetStringBytes("type")...)
			b = appendMedia(b, part)
		}
		b = append(b, ']')
	}
	return b
}

// appendMedia describes a part that is not text: data by its media type,
// length and hash, everything else as it is.
func appendMedia(b []byte, part *fastjson.Value) []byte {
	o, err := part.Object()
	if err != nil {
		return b
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		switch {
		case string(key) == "type":
		case v.Type() == fastjson.TypeObject:
			b = appendMedia(b, v)
		case v.Type() == fastjson.TypeString && len(v.GetStringBytes()) > 64:
			b = appendData(b, string(v.GetStringBytes()))
		default:
			b = append(append(append(b, ' '), key...), '=')
			b = jsontext.AppendValue(b, v)
		}
	})
	return b
}

func appendData(b []byte, data string) []byte {
	media := "data"
	if rest, ok := strings.CutPrefix(data, "data:"); ok {
		media, _, _ = strings.Cut(rest, ";")
	}
	sum := sha256.Sum256([]byte(data))
	b = append(b, ' ')
	b = append(b, media...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(data)), 10)
	return fmt.Appendf(b, " bytes sha256:%x", sum[:8])
}
