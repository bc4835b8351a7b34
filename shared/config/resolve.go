package config

import "strings"

// resolveSecret reads the secret x that x_file or x_env refers to; path is the
// one that does.
func resolveSecret(x, file, env string, lookup func(string) (string, bool), readFile func(string) ([]byte, error)) (path, found, problem string) {
	if file != "" {
		path = x + "_file"
		found, problem = readSecret(readFile, file)
	} else {
		path = x + "_env"
		found, problem = lookupSecret(lookup, env)
	}
	found = strings.TrimRight(found, "\r\n")
	if problem == "" && !isCredential(found) {
		problem = "what it refers to is not a key: want " + new(secret).want()
	}
	return path, found, problem
}

func readSecret(read func(string) ([]byte, error), path string) (found, problem string) {
	if read == nil {
		return "", "there are no files here"
	}
	b, err := read(path)
	if err != nil {
		return "", "cannot read the file: " + err.Error()
	}
	return string(b), ""
}

func lookupSecret(lookup func(string) (string, bool), name string) (found, problem string) {
	if lookup == nil {
		return "", "there is no environment here"
	}
	found, _ = lookup(name)
	if found == "" {
		return "", "the environment variable " + name + " is not set or empty"
	}
	return found, ""
}
