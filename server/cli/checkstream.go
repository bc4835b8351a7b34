package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"antwort/shared/streamcheck"
)

type checkStreamCmd struct {
	File string `arg:"" help:"Recorded body of a streamed response; - is the standard input."`
}

func (checkStreamCmd) Help() string {
	return `Reads the body of a streamed Responses answer and checks it: order of events, indices, ids, sequence numbers, deltas against the texts they add up to, the terminal output against the streamed items. Prints one line for each breach and ends with exit code 1 when there is any.

Example:

    curl -sN http://localhost:8080/v1/responses -H 'content-type: application/json' -d '{"input":"Hi","stream":true}' | antwort check-stream -`
}

var errBadStream = errors.New("the stream breaks the rules of the Responses API")

func (cmd *checkStreamCmd) Run(s *streams) error {
	in := s.In
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return usage(err)
		}
		defer f.Close()
		in = f
	}
	var c streamcheck.Checker
	if _, err := io.Copy(&c, in); err != nil {
		return fmt.Errorf("cannot read the stream: %w", err)
	}
	problems := c.Close()
	for _, p := range problems {
		fmt.Fprintln(s.Out, p)
	}
	if len(problems) > 0 {
		return errBadStream
	}
	fmt.Fprintf(s.Out, "OK: %d events, %d items, %d deltas, ends with %s\n", c.Count(""), c.Items(), deltas(&c), terminal(&c))
	return nil
}

func deltas(c *streamcheck.Checker) int {
	n := 0
	for _, part := range []string{"output_text", "refusal", "reasoning_text", "reasoning", "function_call_arguments", "custom_tool_call_input"} {
		n += c.Count("response." + part + ".delta")
	}
	return n
}

func terminal(c *streamcheck.Checker) string {
	for _, name := range []string{"response.incomplete", "response.failed"} {
		if c.Count(name) > 0 {
			return name
		}
	}
	return "response.completed"
}
