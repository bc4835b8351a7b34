package config

import (
	"math"
	"strconv"
	"time"
)

// duration is a time span within a range, written as Go does: 15s, 1m30s.
type duration struct {
	at            func(*Config) *time.Duration
	def, min, max time.Duration
	zero          string // what 0s means; "" when 0s is not allowed
}

func (*duration) kind() string { return "duration" }

func (k *duration) values() string {
	text := FormatDuration(k.min) + " to " + FormatDuration(k.max)
	if k.zero != "" {
		text += " or 0s (" + k.zero + ")"
	}
	return text
}

func (k *duration) want() string {
	return "a duration from " + k.values() + ", with a unit ms, s, m or h, such as 15s"
}

func (k *duration) reset(c *Config) { *k.at(c) = k.def }

func (k *duration) set(c *Config, in input) bool {
	d, ok := parseDuration(in.text)
	switch {
	case !ok || !in.isText():
		return false
	case d == 0 && k.zero != "":
	case d < k.min || d > k.max:
		return false
	}
	*k.at(c) = d
	return true
}

// durationUnits from the longest to the shortest.
var durationUnits = []struct {
	name string
	unit time.Duration
}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// parseDuration reads what time.ParseDuration reads, without signs, fractions
// and units shorter than ms. That function is much code for the filter.
func parseDuration(text string) (sum time.Duration, ok bool) {
	for text != "" {
		digits := 0
		for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
			digits++
		}
		letters := digits
		for letters < len(text) && text[letters] >= 'a' {
			letters++
		}
		n, err := strconv.ParseUint(text[:digits], 10, 32)
		unit := unitOf(text[digits:letters])
		if err != nil || unit == 0 || time.Duration(n) > (math.MaxInt64-sum)/unit {
			return 0, false
		}
		sum += time.Duration(n) * unit
		text, ok = text[letters:], true
	}
	return sum, ok
}

func unitOf(name string) time.Duration {
	for _, u := range durationUnits {
		if u.name == name {
			return u.unit
		}
	}
	return 0
}

func (k *duration) text(c *Config) string { return FormatDuration(*k.at(c)) }

func (k *duration) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *duration) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"type":"string","pattern":"^([0-9]+(ms|s|m|h))+$","default":"`...)
	dst = append(dst, k.text(c)...)
	return append(dst, '"')
}

// FormatDuration writes d as parseDuration reads it: 10m, 1m30s.
func FormatDuration(d time.Duration) string {
	var text []byte
	for _, u := range durationUnits {
		if n := d / u.unit; n > 0 {
			text = append(strconv.AppendInt(text, int64(n), 10), u.name...)
			d -= n * u.unit
		}
	}
	if text == nil {
		return "0s"
	}
	return string(text)
}
