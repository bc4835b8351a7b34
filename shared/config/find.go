package config

// find is the row of a path.
func find(path string) *key {
	for i := range table {
		if table[i].path == path {
			return &table[i]
		}
	}
	return nil
}

// isSection reports whether keys lie under the path.
func isSection(path string) bool {
	for _, k := range table {
		if len(k.path) > len(path) && k.path[len(path)] == '.' && k.path[:len(path)] == path {
			return true
		}
	}
	return false
}

// Text is the value of the key at this path as it is written in YAML: "32MiB",
// "15s"; secrets are redacted. It is "" for unknown keys and for no value.
func (c *Config) Text(path string) string {
	if k := find(path); k != nil {
		return k.value.text(c)
	}
	return ""
}
