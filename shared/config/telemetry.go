package config

import "strings"

// Field is a header field.
type Field struct{ Name, Value string }

// Fields are the header fields that go with what is sent.
func (o *OTLP) Fields() []Field {
	fields, _ := parseFields(o.Headers.Reveal())
	return fields
}

// validateTelemetry refuses what has no effect without somebody who takes it.
func (c *Config) validateTelemetry(ps *Problems) {
	o, defaults := &c.Observability, Default()
	if o.OTLP.Endpoint != "" {
		if o.OTLP.CAFile != "" && !strings.HasPrefix(o.OTLP.Endpoint, "https:") {
			ps.add("observability.otlp.ca_file", "", "the endpoint is http://, so nothing is encrypted: make it https://, or leave this out")
		}
		return
	}
	for i := range table {
		k := &table[i]
		at := strings.HasPrefix(k.path, "observability.otlp.") || strings.HasPrefix(k.path, "observability.tracing.")
		if at && !k.value.isDefault(c, defaults) {
			ps.add(k.path, "", "nothing is sent without observability.otlp.endpoint: set it, or leave this out")
		}
	}
	if o.Capture > 0 && c.Server.Admin.Port == 0 {
		ps.add("observability.capture", "", "nothing is sent without observability.otlp.endpoint, nor shown without server.admin.port: set one of them, or leave this out")
	}
}

// resolvedTelemetry refuses header fields that are none.
func (c *Config) resolvedTelemetry(ps *Problems) {
	if headers := c.Observability.OTLP.Headers; headers.IsSet() {
		if _, ok := parseFields(headers.Reveal()); !ok {
			ps.add("observability.otlp.headers", "", "want name=value, several with commas between them")
		}
	}
}

// parseFields reads the form of OTEL_EXPORTER_OTLP_HEADERS.
func parseFields(text string) (fields []Field, ok bool) {
	if text == "" {
		return nil, true
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, coded, found := strings.Cut(pair, "=")
		value, right := decodePercent(coded)
		if !found || !right || !isToken(name) {
			return nil, false
		}
		fields = append(fields, Field{name, value})
	}
	return fields, true
}

// isToken reports whether s can be the name of a header field of somebody else's.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.' {
			return false
		}
	}
	return s != ""
}

// decodePercent decodes %20 and the like to what may stand in a header field.
func decodePercent(text string) (value string, ok bool) {
	var b []byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]) {
				return "", false
			}
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		if c < ' ' || c == 0x7f {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), len(b) > 0
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// withoutTelemetry is c without what only a process of ours can send, for the filter: its
// Envoy traces.
func (c *Config) withoutTelemetry() {
	d := Default().Observability
	c.Observability.OTLP, c.Observability.Tracing, c.Observability.Capture = d.OTLP, d.Tracing, d.Capture
}
