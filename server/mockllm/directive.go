package mockllm

import (
	"strconv"
	"strings"
)

// linePrefix begins the lines of a message that steer.
const linePrefix = "mock:"

// A directive is one name with its value, not read yet.
type directive struct{ name, value string }

// cutDirective cuts the first name, name=value or name="value" off.
func cutDirective(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "= ")
	if end < 0 {
		return s, "1", ""
	}
	name, rest = s[:end], s[end+1:]
	if s[end] == ' ' {
		return name, "1", rest
	}
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		value, _ = strconv.Unquote(quoted)
		return name, value, rest[len(quoted):]
	}
	value, rest, _ = strings.Cut(rest, " ")
	return name, value, rest
}

// withoutSteering removes the lines that steer.
func withoutSteering(s string) string {
	if !strings.Contains(s, linePrefix) {
		return s
	}
	var kept []string
	for line := range strings.SplitSeq(s, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), linePrefix) {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}

// directives reads the lines that steer the given turn; a line that names none
// steers the first.
func directives(text string, turn int) (given []directive) {
	if !strings.Contains(text, linePrefix) {
		return nil
	}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), linePrefix)
		if !ok {
			continue
		}
		of := "1"
		var read []directive
		for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
			var d directive
			if d.name, d.value, rest = cutDirective(rest); d.name == "turn" {
				of = d.value
				continue
			}
			read = append(read, d)
		}
		if of == strconv.Itoa(turn) {
			given = append(given, read...)
		}
	}
	return given
}
