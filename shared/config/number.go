package config

import (
	"strconv"
	"strings"
)

// integer is a whole number within a range.
type integer struct {
	at            func(*Config) *int
	def, min, max int
}

func (*integer) kind() string { return "integer" }

func (k *integer) values() string { return strconv.Itoa(k.min) + " to " + strconv.Itoa(k.max) }
func (k *integer) want() string   { return "an integer from " + k.values() }

func (k *integer) reset(c *Config) { *k.at(c) = k.def }

func (k *integer) set(c *Config, in input) bool {
	if in.form != number && in.form != variable {
		return false
	}
	n, err := strconv.Atoi(in.text)
	if err != nil || n < k.min || n > k.max {
		return false
	}
	*k.at(c) = n
	return true
}

func (k *integer) explain(in input) string {
	return unquote(k.set(new(Config), input{variable, in.text}), in)
}

func (k *integer) text(c *Config) string { return strconv.Itoa(*k.at(c)) }

func (k *integer) isDefault(c, defaults *Config) bool { return *k.at(c) == *k.at(defaults) }

func (k *integer) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"type":"integer","minimum":`...)
	dst = strconv.AppendInt(dst, int64(k.min), 10)
	dst = append(dst, `,"maximum":`...)
	dst = strconv.AppendInt(dst, int64(k.max), 10)
	dst = append(dst, `,"default":`...)
	return append(dst, k.text(c)...)
}

// sizeUnits from the greatest to the least.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}}

// size is a number of bytes within a range: a number, or a text with a unit.
type size struct {
	at            func(*Config) *int64
	atInt         func(*Config) *int // instead of at
	def, min, max int64
	zero          string // what 0 means; "" when 0 is not allowed
}

func (k *size) put(c *Config, n int64) {
	if k.atInt != nil {
		*k.atInt(c) = int(n)
		return
	}
	*k.at(c) = n
}

func (*size) kind() string { return "size" }

func (k *size) values() string {
	text := formatSize(k.min) + " to " + formatSize(k.max)
	if k.zero != "" {
		text += " or 0 (" + k.zero + ")"
	}
	return text
}

func (k *size) want() string {
	return "a size from " + k.values() + ", in bytes or with a unit B, KiB, MiB or GiB, such as 32MiB"
}

func (k *size) reset(c *Config) { k.put(c, k.def) }

func (k *size) set(c *Config, in input) bool {
	if in.form != number && !in.isText() {
		return false
	}
	digits, unit := in.text, int64(1)
	if in.isText() {
		for _, u := range sizeUnits {
			if rest, has := strings.CutSuffix(digits, u.name); has {
				digits, unit = strings.TrimSuffix(rest, " "), u.bytes
				break
			}
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err != nil, int64(n) > k.max/unit:
		return false
	case n == 0 && k.zero != "":
	case int64(n) < (k.min+unit-1)/unit:
		return false
	}
	k.put(c, int64(n)*unit)
	return true
}

func (k *size) text(c *Config) string {
	if k.atInt != nil {
		return formatSize(int64(*k.atInt(c)))
	}
	return formatSize(*k.at(c))
}

func (k *size) isDefault(c, defaults *Config) bool {
	if k.atInt != nil {
		return *k.atInt(c) == *k.atInt(defaults)
	}
	return *k.at(c) == *k.at(defaults)
}

func (k *size) schema(dst []byte, c *Config) []byte {
	dst = append(dst, `"anyOf":[{"type":"integer","minimum":`...)
	least := k.min
	if k.zero != "" {
		least = 0
	}
	dst = strconv.AppendInt(dst, least, 10)
	dst = append(dst, `,"maximum":`...)
	dst = strconv.AppendInt(dst, k.max, 10)
	dst = append(dst, `},{"type":"string","pattern":"^[0-9]+( ?(B|KiB|MiB|GiB))?$"}],"default":"`...)
	dst = append(dst, k.text(c)...)
	return append(dst, '"')
}

// formatSize writes n bytes with the greatest unit that leaves no remainder.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
