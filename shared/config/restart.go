package config

// RestartKeys are the keys whose change from c to next the command takes at its
// next start only, in the order of the reference.
func (c *Config) RestartKeys(next *Config, command Command) []string {
	var paths []string
	for i := range table {
		k := &table[i]
		before, after := k.value.text(c), k.value.text(next)
		if k.restart&command != 0 && before != after && (!k.ifUnset || before == "" || after == "") {
			paths = append(paths, k.path)
		}
	}
	return paths
}

// reference is the documentation of the key with what its change needs.
func (k *key) reference() string {
	what := "a change"
	if k.ifUnset {
		what = "a change from no value, or to none,"
	}
	switch k.restart {
	case 0:
		return k.doc
	case Serve:
		return k.doc + " In `antwort serve` " + what + " needs a restart."
	default:
		return k.doc + " " + string(what[0]-'a'+'A') + what[1:] + " needs a restart."
	}
}
