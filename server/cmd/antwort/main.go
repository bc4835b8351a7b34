// Command antwort serves the OpenAI Responses API. See package cli for its
// subcommands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"antwort/server/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default action is back: a second one ends
	// the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
