package config

import (
	"strings"
	"time"
)

// duration is a time span within a range, written as Go does: 15s, 1m30s.
type duration struct {
	at            func(*Config) *time.Duration
	def, min, max time.Duration
	zero          string // what 0s means; "" when 0s is not allowed
}

func (duration) kind() string { return "duration" }

func (k duration) values() string {
	text := formatDuration(k.min) + " to " + formatDuration(k.max)
	if k.zero != "" {
		text += " or 0s (" + k.zero + ")"
	}
	return text
}

func (k duration) want() string {
	return "a duration from " + k.values() + ", with a unit ms, s, m or h, such as 15s"
}

func (k duration) reset(c *Config) { *k.at(c) = k.def }

func (k duration) set(c *Config, in input) bool {
	if !in.isText() || !hasUnits(in.text) {
		return false
	}
	d, err := time.ParseDuration(in.text)
	switch {
	case err != nil:
		return false
	case d == 0 && k.zero != "":
	case d < k.min || d > k.max:
		return false
	}
	*k.at(c) = d
	return true
}

// hasUnits keeps time.ParseDuration to what the documentation says: no sign, no
// unit shorter than ms, no bare 0.
func hasUnits(text string) bool {
	digits := false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b >= '0' && b <= '9':
			digits = true
			continue
		case b == '.' && digits:
			continue
		case !digits:
			return false
		case strings.HasPrefix(text[i:], "ms"):
			i++
		case b != 's' && b != 'm' && b != 'h':
			return false
		}
		digits = false
	}
	return text != "" && !digits
}

func (k duration) text(c *Config) string { return formatDuration(*k.at(c)) }

func (k duration) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"type":"string","pattern":"^([0-9]+(\\.[0-9]*)?(ms|s|m|h))+$","default":"`...)
	dst = append(dst, k.text(c)...)
	return append(dst, '"')
}

// formatDuration is d without the zero parts that time.Duration writes: 10m,
// not 10m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if short, is := strings.CutSuffix(text, "m0s"); is {
		text = short + "m"
	}
	if short, is := strings.CutSuffix(text, "h0m"); is {
		text = short + "h"
	}
	return text
}
