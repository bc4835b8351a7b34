// Command extproc is what a user would take in the filter's place: a server that
// Envoy asks about each request and each piece of an answer (ext_proc), and that
// translates by the same code as the filter. It has no limits and no metrics, and
// asks nobody who calls.
//
//	extproc LISTEN SOCKET
//
// SOCKET is the Unix socket for Envoy; who asks LISTEN is told that it runs.
package main

import (
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"

	"antwort/shared/config"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: extproc LISTEN SOCKET")
	}
	cfg, err := config.Parse([]byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"}}`))
	if err != nil {
		log.Fatal(err)
	}
	socket, err := net.Listen("unix", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	extproc.RegisterExternalProcessorServer(server, &processor{translator: translate.New(translate.OptionsOf(cfg))})
	go func() { log.Fatal(server.Serve(socket)) }()
	runs := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe(os.Args[1], runs)) //nolint:gosec // only the bench asks
}

// processor translates what Envoy shows it.
type processor struct {
	extproc.UnimplementedExternalProcessorServer
	translator *translate.Translator
}

// Process is one request: its header, its whole body, the header of its answer, and the answer in the
// pieces in which it comes. What has no body, as a question for the models, passes as it is.
func (p *processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	x := &exchange{processor: p}
	defer x.done()
	for {
		said, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(x.answer(said)); err != nil {
			return err
		}
	}
}

// exchange is a request and its answer.
type exchange struct {
	*processor
	turn   *translate.Turn   // nil: nothing is translated
	events *translate.Stream // of a streamed answer
	whole  []byte            // of another, as far as it has come
}

func (x *exchange) done() {
	if x.turn != nil {
		x.turn.Free()
	}
}

func (x *exchange) answer(said *extproc.ProcessingRequest) *extproc.ProcessingResponse {
	switch m := said.Request.(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{}}}
	case *extproc.ProcessingRequest_RequestBody:
		return x.request(m.RequestBody.Body)
	case *extproc.ProcessingRequest_ResponseHeaders:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{
			ResponseHeaders: &extproc.HeadersResponse{Response: x.header(m.ResponseHeaders.Headers)}}}
	case *extproc.ProcessingRequest_ResponseBody:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{
			ResponseBody: &extproc.BodyResponse{Response: x.piece(m.ResponseBody.Body, m.ResponseBody.EndOfStream)}}}
	}
	return &extproc.ProcessingResponse{} // Envoy was told to show nothing else
}

func (x *exchange) request(body []byte) *extproc.ProcessingResponse {
	out, turn, err := x.translator.Request(nil, body, strings.ToLower(rand.Text()), time.Now().Unix())
	if err != nil {
		return refused(err)
	}
	if x.turn = turn; turn.Streaming() {
		x.events = turn.Stream()
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{Response: &extproc.CommonResponse{
		HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set(":path", "/v1/chat/completions"), set("content-length", strconv.Itoa(len(out)))}, RemoveHeaders: []string{"accept-encoding"}},
		BodyMutation:   &extproc.BodyMutation{Mutation: &extproc.BodyMutation_Body{Body: out}},
	}}}}
}

// header is that of an answer. One that is not 200 passes as it is.
func (x *exchange) header(h *core.HeaderMap) *extproc.CommonResponse {
	if x.turn != nil && status(h) != "200" {
		x.done()
		x.turn, x.events = nil, nil
	}
	if x.turn == nil {
		return nil
	}
	mutation := &extproc.HeaderMutation{RemoveHeaders: []string{"content-length"}}
	if x.events != nil {
		mutation.SetHeaders = []*core.HeaderValueOption{set("content-type", "text/event-stream"), set("cache-control", "no-cache")}
	} else {
		mutation.SetHeaders = []*core.HeaderValueOption{set("content-type", "application/json")}
	}
	return &extproc.CommonResponse{HeaderMutation: mutation}
}

// piece is what takes the place of a piece of an answer.
func (x *exchange) piece(p []byte, end bool) *extproc.CommonResponse {
	if x.turn == nil {
		return nil
	}
	var out []byte
	if x.events != nil {
		out = x.tell(p, end)
	} else {
		out = x.gather(p, end)
	}
	mutation := &extproc.BodyMutation{Mutation: &extproc.BodyMutation_Body{Body: out}}
	if len(out) == 0 {
		mutation.Mutation = &extproc.BodyMutation_ClearBody{ClearBody: true}
	}
	return &extproc.CommonResponse{BodyMutation: mutation}
}

// tell makes the events of a piece. The status has gone: what fails is an event.
func (x *exchange) tell(p []byte, end bool) []byte {
	now := time.Now().Unix()
	out := x.events.Start(nil)
	out, _ = x.events.Write(out, p, now) // a stream that has started has no error
	if end {
		out = x.events.End(out, nil, now)
	}
	return out
}

// gather makes the resource when its answer is there.
func (x *exchange) gather(p []byte, end bool) []byte {
	if x.whole = append(x.whole, p...); !end {
		return nil
	}
	out, err := x.turn.Response(nil, x.whole, time.Now().Unix())
	if err != nil {
		return x.turn.Failed(nil, err)
	}
	return out
}

// refused is the answer to a request that cannot be translated.
func refused(e *responses.Error) *extproc.ProcessingResponse {
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extproc.ImmediateResponse{
		Status:  &envoytype.HttpStatus{Code: envoytype.StatusCode(e.Status)}, //nolint:gosec // a status of HTTP
		Headers: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("content-type", "application/json")}},
		Body:    e.AppendBody(nil),
	}}}
}

func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, RawValue: []byte(value)}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
}

func status(h *core.HeaderMap) string {
	for _, one := range h.GetHeaders() {
		if one.Key == ":status" {
			return string(one.RawValue)
		}
	}
	return ""
}
