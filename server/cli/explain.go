package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"antwort/server/explain"
	"antwort/shared/policy"
)

type explainCmd struct {
	configFlag
	Request string   `arg:"" help:"Body of a POST /v1/responses; - is the standard input."`
	Answer  string   `placeholder:"FILE" help:"Recorded answer of a backend, an event stream or a chat answer: what becomes of it, and what the validator says."`
	Status  int      `default:"200" help:"HTTP status of that answer."`
	Caller  string   `placeholder:"SUBJECT" help:"Who calls: the subject of an API key or of a token."`
	Tenant  string   `placeholder:"NAME" help:"The caller's tenant."`
	Header  []string `short:"H" sep:"none" placeholder:"NAME: VALUE" help:"Header field of the request, where routes depend on it or a key is in it. May be given several times."`
	JSON    bool     `name:"json" xor:"form" help:"Print everything as JSON."`
	Chat    bool     `xor:"form" help:"Print the chat request alone."`
}

func (explainCmd) Help() string {
	return `Says what becomes of a request: which field goes where in the chat request, what is echoed, left out, added or refused and why, which route and backends would take it, and by which limits. It is translated as "antwort serve" does it, and nobody is asked: no backend, no store, no issuer of tokens. Exit code 0: it would be taken; 1: it would be refused, or events break the rules; 2: the command line or the configuration is wrong.

Example:

    antwort explain --config antwort.yaml --caller ana request.json`
}

var errBrokenRules = errors.New("the events break the rules of the Responses API")

func (cmd *explainCmd) Run(s *streams) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	q := &explain.Question{Config: cfg}
	if q.Field, err = fieldsOf(cmd.Header); err != nil {
		return usage(err)
	}
	if cmd.Caller+cmd.Tenant != "" {
		if q.Caller, err = explain.Named(cfg, cmd.Caller, cmd.Tenant); err != nil {
			return usage(err)
		}
	}
	if q.Body, err = s.read(cmd.Request); err != nil {
		return usage(err)
	}
	r := explain.Request(q)
	if cmd.Answer != "" {
		recorded, err := s.read(cmd.Answer)
		if err != nil {
			return usage(err)
		}
		r = r.Answered(cmd.Status, recorded)
	}
	if err := cmd.print(s.Out, r); err != nil {
		return err
	}
	return verdictOf(r)
}

// read reads a file, or the standard input.
func (s *streams) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.In)
	}
	return os.ReadFile(name)
}

// fieldsOf are the header fields of flags such as "x-team: red".
func fieldsOf(flags []string) (func(name string) []string, error) {
	fields := make(map[string][]string)
	for _, flag := range flags {
		name, value, is := strings.Cut(flag, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); !is || name == "" {
			return nil, errors.New("--header " + policy.Clip(flag, 32) + ": it has the form NAME: VALUE")
		}
		fields[name] = append(fields[name], strings.TrimSpace(value))
	}
	return func(name string) []string { return fields[name] }, nil
}

func (cmd *explainCmd) print(out io.Writer, r *explain.Report) error {
	switch {
	case cmd.Chat && r.Chat == nil:
		return nil
	case cmd.Chat:
		return indented(out, r.Chat)
	case cmd.JSON:
		return indented(out, r)
	}
	return r.WriteTable(out, isTerminal(out))
}

func indented(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// isTerminal reports whether colours can be seen, and are not unwanted (no-color.org).
func isTerminal(out io.Writer) bool {
	f, is := out.(*os.File)
	if !is || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// verdictOf is an error for what a client would not want to get.
func verdictOf(r *explain.Report) error {
	switch a := r.Answer; {
	case r.Refusal != nil:
		return errors.New("the request is refused")
	case a == nil:
	case a.Refusal != nil:
		return errors.New("the answer becomes an error")
	case !a.Verdict.OK:
		return errBrokenRules
	}
	return nil
}
