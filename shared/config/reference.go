package config

import "strings"

// Reference is the table of all keys in Markdown, a heading per section.
func Reference() []byte {
	var b strings.Builder
	defaults := Default()
	section := ""
	for _, k := range table {
		top, _, _ := strings.Cut(k.path, ".")
		if top != section {
			section = top
			b.WriteString("\n### `" + section + "`\n\n| key | values | default | variable | meaning |\n|---|---|---|---|---|\n")
		}
		b.WriteString("| `" + k.path + "` | " + k.value.kind() + ": " + k.value.values())
		b.WriteString(" | " + k.fallback(defaults) + " | `" + variableOf(k.path) + "` | " + k.reference() + " |\n")
	}
	return []byte(strings.TrimPrefix(b.String(), "\n"))
}

// fallback is the default as the reference shows it.
func (k *key) fallback(defaults *Config) string {
	switch text := k.value.text(defaults); {
	case text != "":
		return "`" + text + "`"
	case k.require:
		return "required"
	default:
		return "none"
	}
}

// Example is a configuration file in YAML with every key, its documentation and
// its default. Keys without default have an example, in a comment unless they
// are required.
func Example() []byte {
	var b strings.Builder
	defaults := Default()
	section := ""
	for _, k := range table {
		parent, name := cut(k.path)
		if parent != section {
			openSections(&b, section, parent)
			section = parent
		}
		indent := strings.Repeat("  ", strings.Count(k.path, "."))
		b.WriteString(indent + "# " + strings.ReplaceAll(k.reference(), "`", "") + "\n" + indent)
		text := k.value.text(defaults)
		if text == "" {
			text = k.example
			if !k.require {
				b.WriteString("# ")
			}
		}
		b.WriteString(name + ": " + text + "\n")
	}
	return []byte(b.String())
}

// openSections writes the headings that lead from one section to another.
func openSections(b *strings.Builder, from, to string) {
	if to == "" {
		return
	}
	shared, depth := "", 0
	for name := range strings.SplitSeq(to, ".") {
		shared = join(shared, name)
		if from != shared && !strings.HasPrefix(from, shared+".") {
			b.WriteString(strings.Repeat("  ", depth) + name + ":\n")
		}
		depth++
	}
}
