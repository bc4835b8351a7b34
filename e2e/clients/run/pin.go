package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// A pin reads the version of a package from the file that pins it, given the
// folder e2e.
type pin func(e2e string) (string, error)

func npm(name string) pin {
	return pinned("clients/node/package-lock.json", `"node_modules/`+regexp.QuoteMeta(name)+`": \{\s*"version": "([^"]+)"`)
}

func pypi(name string) pin {
	return pinned("clients/python/requirements.txt", `(?m)^`+regexp.QuoteMeta(name)+`==(.+)$`)
}

func llamaindexPin(name string) pin {
	return pinned("clients/python/llamaindex.txt", `(?m)^`+regexp.QuoteMeta(name)+`==(.+)$`)
}

func maven(name string) pin {
	return pinned("clients/java/pom.xml", `<artifactId>`+regexp.QuoteMeta(name)+`</artifactId>\s*<version>([^<]+)</version>`)
}

func goModule(path string) pin {
	return pinned("go.mod", `(?m)^\t`+regexp.QuoteMeta(path)+` v(\S+)`)
}

// pinned finds the version as the pattern's first group.
func pinned(file, pattern string) pin {
	version := regexp.MustCompile(pattern)
	return func(e2e string) (string, error) {
		b, err := os.ReadFile(filepath.Join(e2e, file))
		if err != nil {
			return "", err
		}
		found := version.FindSubmatch(b)
		if found == nil {
			return "", fmt.Errorf("%s has no %s", file, pattern)
		}
		return string(found[1]), nil
	}
}
