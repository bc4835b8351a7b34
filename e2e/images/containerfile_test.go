package main

import (
	"os"
	"regexp"
	"testing"
)

// The images that the Containerfile begins with are those of the other way to
// build: Go as go.mod has it, Debian as the locked packages are.
func TestContainerfileNamesVersions(t *testing.T) {
	read := func(file, pattern string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no %s", file, pattern)
		}
		return string(found[1])
	}
	const file = "../../Containerfile"
	if got, want := read(file, `(?m)^FROM docker.io/library/golang:(\S+)-bookworm AS`), read("../../go.mod", `(?m)^toolchain go(\S+)$`); got != want {
		t.Errorf("the Containerfile builds with Go %s, go.mod with %s", got, want)
	}
	if got, want := read(file, `(?m)^FROM docker.io/library/debian:(\S+)-slim$`), read("debian.lock", `(?m)^base-files 12\.4\+deb12u(\d+) amd64`); got != "12."+want {
		t.Errorf("the Containerfile runs on Debian %s, the images on 12.%s", got, want)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllSubmatch(text, -1) {
		if !regexp.MustCompile(`:\d+\.\d+(\.\d+)?-[^:]+$`).Match(from[1]) {
			t.Errorf("%s has no full version", from[1])
		}
	}
}
