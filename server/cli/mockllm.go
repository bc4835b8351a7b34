package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"antwort/server/mockllm"
)

type mockLLMCmd struct {
	Host         string        `default:"127.0.0.1" help:"Address to listen on."`
	Port         int           `default:"8000" help:"Port to listen on; 0 takes a free one."`
	Model        string        `default:"/mnt/models" help:"Name of the served model; another one is refused with 404."`
	MaxModelLen  int           `default:"1048576" help:"Context length in tokens (words)."`
	Vision       bool          `help:"Accept images, audio and video; without it they are refused as a text model does."`
	Reasoning    bool          `name:"reasoning-parser" help:"Stream as vLLM does with --reasoning-parser."`
	OpenTemplate bool          `help:"Accept messages in any order and role, as some chat templates do."`
	APIKey       string        `name:"api-key" help:"Want this bearer token under /v1."`
	Tokens       int           `help:"Answer every prompt with exactly so many tokens instead of the echo (for load tests)."`
	Burst        int           `default:"1" help:"Tokens of one write."`
	Delay        time.Duration `help:"Time before every token after the first."`
	FirstDelay   time.Duration `help:"Time between the header and the first token."`
	HeaderDelay  time.Duration `help:"Time before the header."`
}

func (mockLLMCmd) Help() string {
	return `A stand-in for a vLLM server, for trying and testing. It refuses what vLLM refuses and answers with what it received, so that a lost prompt, tool or parameter shows in the answer. A line "mock: cut-after=3" in the last message, or a header "X-Mock-Cut-After: 3", makes it fail on demand; an unknown directive is answered with the list of all. GET /mock/stats counts requests and client aborts.

Example:

    antwort mock-llm --port 8000 --delay 20ms`
}

// mockShutdownTime is how long running answers may take after the first signal.
const mockShutdownTime = time.Second

func (cmd *mockLLMCmd) Run(ctx context.Context, io *streams) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(cmd.Host, strconv.Itoa(cmd.Port)))
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	log := slog.New(slog.NewTextHandler(io.Err, nil))
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: mockllm.New(mockllm.Options{
			Model: cmd.Model, MaxModelLen: cmd.MaxModelLen, Vision: cmd.Vision, ReasoningParser: cmd.Reasoning,
			OpenTemplate: cmd.OpenTemplate, APIKey: cmd.APIKey, Tokens: cmd.Tokens, Burst: cmd.Burst,
			Delay: cmd.Delay, FirstDelay: cmd.FirstDelay, HeaderDelay: cmd.HeaderDelay, Log: log,
		}),
	}
	fmt.Fprintf(io.Out, "mock-llm: model %s at http://%s\n", cmd.Model, listener.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), mockShutdownTime)
	defer cancel()
	if err := server.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	} else if err != nil {
		return err
	}
	return nil
}
