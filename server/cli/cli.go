// Package cli is the command line of antwort: one binary, one file per
// subcommand.
//
// A subcommand is a struct with its flags and a method Run, and a field in
// [commands]. Run takes what it needs by type: context.Context (cancelled by
// the first SIGINT or SIGTERM; what serves takes all signals, see package
// process) and *streams. Its error decides the exit code: nil 0, an error made by
// [usage] 2, any other error 1. What a command prints is made of the configuration
// and of other packages: nothing enters here but the words of the command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// commands are the subcommands in the order of the help text.
type commands struct {
	Serve        serveCmd        `cmd:"" help:"Serve the Responses API."`
	Envoy        envoyCmd        `cmd:"" help:"Serve it by Envoy with the filter, as a child process."`
	Render       renderCmd       `cmd:"" help:"Print the configuration for an Envoy or Istio that you run yourself."`
	Filter       filterCmd       `cmd:"" help:"Print the filter for Envoy and Istio, a WebAssembly module."`
	Check        checkCmd        `cmd:"" help:"Validate a configuration and say what it means."`
	Explain      explainCmd      `cmd:"" help:"Say what becomes of a request, field by field, and why."`
	State        stateCmd        `cmd:"" help:"Look at the responses that are kept, take them out, or remove them."`
	ConfigSchema configSchemaCmd `cmd:"" help:"Print the JSON Schema of the configuration."`
	CheckStream  checkStreamCmd  `cmd:"" name:"check-stream" help:"Validate a recorded stream of the Responses API."`
	MockLLM      mockLLMCmd      `cmd:"" name:"mock-llm" help:"Run a small vLLM-like server that answers with what it received."`
	Version      versionCmd      `cmd:"" help:"Print the version of this binary."`
}

const description = `Serves the OpenAI Responses API in front of models that speak Chat Completions, or forwards it to another Responses API.

Run "antwort COMMAND --help" for a command's flags and an example.`

// Main runs one subcommand and returns the exit code of the process. args are
// the words after the program's name. It never ends the process itself.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	io := &streams{In: stdin, Out: stdout, Err: stderr}
	var cmds commands
	parser, err := kong.New(&cmds,
		kong.Name("antwort"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		// kong wants to end the process after --help; here it only leaves parse.
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.Bind(io),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintf(stderr, "antwort: %v\n", err)
		return exitRun
	}
	command, err := parse(parser, args)
	var left exit
	switch {
	case errors.As(err, &left):
		return int(left)
	case err != nil:
		fmt.Fprintf(stderr, "antwort: %v\nRun \"antwort --help\" for the commands and \"antwort COMMAND --help\" for their flags.\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(stderr, "antwort: %v\n", err)
		var wrong *usageError
		if errors.As(err, &wrong) {
			return exitUsage
		}
		return exitRun
	}
	return exitOK
}

// parse reads the command line. Its error is an exit when kong has done
// everything already.
func parse(parser *kong.Kong, args []string) (command *kong.Context, err error) {
	defer func() {
		if p := recover(); p != nil {
			left, ok := p.(exit)
			if !ok {
				panic(p)
			}
			err = left
		}
	}()
	return parser.Parse(args)
}

// exit is the exit code with which kong wants to end the process.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
