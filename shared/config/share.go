package config

import (
	"strconv"
	"strings"
)

// share is a part of all, from 0 to 1, kept in millionths.
type share struct {
	at  func(*Config) *int
	def int
}

func (*share) kind() string      { return "share" }
func (*share) values() string    { return "0 to 1" }
func (*share) want() string      { return "a number from 0 to 1 with at most 6 digits after the point" }
func (k *share) reset(c *Config) { *k.at(c) = k.def }

func (k *share) set(c *Config, in input) bool {
	n, ok := parseShare(in.text)
	if in.form != number && in.form != variable || !ok {
		return false
	}
	*k.at(c) = n
	return true
}

func (k *share) explain(in input) string {
	return unquote(k.set(new(Config), input{variable, in.text}), in)
}

// parseShare reads 0.25 as 250000. Numbers with a point are much code for the filter.
func parseShare(text string) (millionths int, ok bool) {
	whole, rest, point := strings.Cut(text, ".")
	if len(rest) > 6 || point && rest == "" || whole != "0" && whole != "1" {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+rest+"000000"[len(rest):], 10, 32)
	return int(n), err == nil && n <= 1_000_000
}

func (k *share) text(c *Config) string {
	n := *k.at(c)
	if n%1_000_000 == 0 {
		return strconv.Itoa(n / 1_000_000)
	}
	return "0." + strings.TrimRight(strconv.Itoa(1_000_000 + n)[1:], "0")
}

func (k *share) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *share) schema(dst []byte, c *Config) []byte {
	return append(append(dst, `"type":"number","minimum":0,"maximum":1,"default":`...), k.text(c)...)
}
