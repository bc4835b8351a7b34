// Package configfile loads the configuration of the native commands: a YAML or
// JSON file, the environment of the process, and the files that hold secrets.
//
//	YAML ─ JSON and places ─ config.Load ─ configuration, or an Error with the places
//
// It judges nothing itself: that is package config's.
package configfile

//go:generate go test -run TestDocumentation -update .

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"antwort/shared/config"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// File is a configuration file that was read but not yet judged.
type File struct {
	Name      string
	JSON      []byte // as package config and the filter take it, secrets not resolved
	positions map[string]position
}

// Load makes the configuration from the file of this name (none when the name
// is empty), the environment and the secrets' files. The error is an *Error
// that lists everything that is wrong.
func Load(name string) (*config.Config, error) {
	return load(name, config.Sources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile})
}

// LoadUnresolved is Load without reading the secrets that are given by
// reference: for what is only written down here and runs elsewhere.
func LoadUnresolved(name string) (*config.Config, error) {
	return load(name, config.Sources{LookupEnv: os.LookupEnv, Unresolved: true})
}

func load(name string, from config.Sources) (*config.Config, error) {
	file, err := Read(name)
	if err != nil {
		return nil, err
	}
	from.JSON = file.JSON
	c, err := config.Load(from)
	if err != nil {
		return nil, file.Explain(err)
	}
	return c, nil
}

// Read reads a file of YAML, of which JSON is a part. Without a name it is an
// empty file. The error is an *Error.
func Read(name string) (*File, error) {
	if name == "" {
		return new(File), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &Error{[]string{"cannot read the configuration: " + err.Error()}}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, &Error{[]string{"cannot read the configuration: " + err.Error()}}
	case len(text) > maxFile:
		return nil, &Error{[]string{fmt.Sprintf("%s: more than %d bytes, that is no configuration", name, maxFile)}}
	}
	return Parse(name, text)
}

// Parse is Read for a text that is at hand; the name is for errors only.
func Parse(name string, text []byte) (*File, error) {
	json, positions, err := parseYAML(text)
	if err != nil {
		return nil, &Error{[]string{name + ":" + err.Error()}}
	}
	return &File{Name: name, JSON: json, positions: positions}, nil
}

// Explain adds to the problems of package config where in the file they are.
// Other errors are returned as they are.
func (f *File) Explain(err error) error {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = f.place(p) + p.Error()
	}
	return &Error{lines}
}

// place is "file:line:column: " of the key or of the nearest section around it.
func (f *File) place(p config.Problem) string {
	if p.Source != "" || f.Name == "" {
		return ""
	}
	for path := p.Path; path != ""; {
		if at, ok := f.positions[path]; ok {
			return fmt.Sprintf("%s:%d:%d: ", f.Name, at.line, at.column)
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return f.Name + ": "
}

// Error is everything that is wrong with a configuration, a line for each.
type Error struct{ Lines []string }

func (e *Error) Error() string {
	if len(e.Lines) == 1 {
		return e.Lines[0]
	}
	return fmt.Sprintf("%d problems in the configuration:\n  %s", len(e.Lines), strings.Join(e.Lines, "\n  "))
}
