// Package corpus reads the golden cases of shared/testdata: a Responses
// request, the chat request it becomes, what the upstream answers, and what
// the client gets. The same cases run natively, as wasm in a test host and in
// a real Envoy; the files are described in shared/testdata/README.md.
//
// It is for tests: it reads the source tree.
package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// What is injected where a gateway would take random bytes and the clock.
const (
	ID      = "c0ffee00c0ffee00c0ffee00c0ffee00"
	Created = 1790000000 // Unix seconds
	Ended   = 1790000007
)

// A Case is one folder of shared/testdata. What is absent is nil.
type Case struct {
	Name    string
	Dir     string
	Config  []byte // config.json: the keys that differ from the defaults
	Options translate.Options
	OwnKey  bool // the gateway has a key of its own for the upstream
	Seals   bool // the gateway has keys to seal with, which are Keys

	Window   bool   // window: the request is POST /v1/responses/compact
	Request  []byte // request.json, or request.txt for what is not JSON
	Recorded []byte // recorded.json: the chat request that vLLM's answer was recorded for

	Status     int    // of the upstream's answer, 200 without answer.status
	RetryAfter string // of the upstream's answer
	Answer     []byte // answer.json, or answer.txt for what is not JSON
	Stream     []byte // answer.sse

	Expected Result

	keys      [][]byte
	owner     [16]byte
	maxTokens int
}

// A Result is what comes out of a case.
type Result struct {
	Chat     []byte // the chat request: compact JSON
	Response []byte // the response resource: compact JSON
	Events   []byte // the event stream
	Error    []byte // {"status":…,"retry_after":…,"body":{…}}: compact JSON
}

// Path is where the request goes.
func (c *Case) Path() string {
	if c.Window {
		return policy.Compact.Name
	}
	return policy.Create.Name
}

// folder finds a folder of shared, seen from a test anywhere in the source tree. (The
// place that a binary was compiled at is not in all binaries.)
func folder(name string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "shared", name)
		if at, err := os.Stat(found); err == nil && at.IsDir() {
			return found, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no shared/%s above %s", name, here)
		}
	}
}

// Load returns the cases that translation alone decides about: those without keys to seal
// with.
func Load() ([]Case, error) {
	all, err := LoadAll()
	return slices.DeleteFunc(all, func(c Case) bool { return c.Seals }), err
}

// LoadAll returns all cases, sorted by name.
func LoadAll() ([]Case, error) {
	root, err := folder("testdata")
	if err != nil {
		return nil, err
	}
	dirs, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		c, err := load(filepath.Join(root, d.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name(), err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func load(dir string) (c Case, err error) {
	c = Case{Name: filepath.Base(dir), Dir: dir, Status: 200}
	for name, to := range map[string]*[]byte{
		"config.json": &c.Config, "request.json": &c.Request, "request.txt": &c.Request, "recorded.json": &c.Recorded,
		"answer.json": &c.Answer, "answer.txt": &c.Answer, "answer.sse": &c.Stream, "events.sse": &c.Expected.Events,
	} {
		if b, err := read(dir, name); err != nil {
			return c, err
		} else if b != nil {
			*to = b
		}
	}
	for name, to := range map[string]*[]byte{"chat.json": &c.Expected.Chat, "response.json": &c.Expected.Response, "error.json": &c.Expected.Error} {
		if *to, err = readCompact(dir, name); err != nil {
			return c, err
		}
	}
	if status, err := read(dir, "answer.status"); err != nil {
		return c, err
	} else if status != nil {
		line, retryAfter, _ := strings.Cut(strings.TrimSpace(string(status)), "\n")
		c.RetryAfter, _ = strings.CutPrefix(retryAfter, "Retry-After: ")
		if c.Status, err = strconv.Atoi(line); err != nil {
			return c, err
		}
	}
	cfg, err := config.Parse(c.Config)
	if err != nil {
		return c, err
	}
	if err := cfg.ResolveSecrets(Keys, nil); err != nil {
		return c, err
	}
	c.OwnKey = cfg.Engine.APIKey.Reveal() != ""
	c.Options = translate.OptionsOf(cfg)
	c.maxTokens = cfg.Compaction.MaxOutputTokens
	if c.Seals = cfg.SealsState(); c.Seals {
		c.keys, c.owner = policy.SealingKeys(cfg), policy.Owner(cfg, nil)
	}
	window, err := read(dir, "window")
	c.Window = window != nil
	return c, err
}

func read(dir, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func readCompact(dir, name string) ([]byte, error) {
	b, err := read(dir, name)
	if b == nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out.Bytes(), nil
}

// ErrorResult renders an error as error.json has it.
func ErrorResult(e *responses.Error) []byte {
	b := fmt.Appendf(nil, `{"status":%d,`, e.Status)
	if e.RetryAfter != "" {
		b = fmt.Appendf(b, `"retry_after":%q,`, e.RetryAfter)
	}
	return append(e.AppendBody(append(b, `"body":`...)), '}')
}

// Stream gives the pieces of an upstream's stream to s and then its end. The
// events are appended to dst.
func Stream(dst []byte, s *translate.Stream, pieces ...[]byte) (events []byte, failed *responses.Error) {
	events = dst
	for _, p := range pieces {
		var err error
		if events, err = s.Write(events, p, Ended); err != nil {
			errors.As(err, &failed)
			return nil, failed
		}
	}
	if !s.Started() { // a real status is still possible
		return nil, translate.CutError()
	}
	return s.End(events, nil, Ended), nil
}

// Update writes the result as what is expected.
func (c *Case) Update(r Result) error {
	for _, f := range []struct {
		name string
		b    []byte
		json bool
	}{{"chat.json", r.Chat, true}, {"response.json", r.Response, true}, {"error.json", r.Error, true}, {"events.sse", r.Events, false}} {
		path := filepath.Join(c.Dir, f.name)
		if f.b == nil {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		b := f.b
		if f.json {
			var out bytes.Buffer
			if err := json.Indent(&out, f.b, "", "  "); err != nil {
				return fmt.Errorf("%s: %w: %s", f.name, err, f.b)
			}
			out.WriteByte('\n')
			b = out.Bytes()
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
