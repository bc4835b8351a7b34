// Package filtertest runs a proxy-wasm HTTP filter in a host that behaves like
// stock Envoy, within a Go test: no Envoy, no container, no configuration.
//
// It is used like net/http/httptest. [New] takes the module's bytes, its
// configuration and an upstream handler, and gives a URL:
//
//	host := filtertest.New(t, wasm, filtertest.Options{
//		Configuration: []byte(`{"engine":{"provider":"vllm"}}`),
//		Upstream:      upstream,
//	})
//	resp, err := http.Post(host.URL+"/v1/responses", "application/json", body)
//
// A request comes in over a loopback connection (HTTP/1.1, or HTTP/2 with
// prior knowledge), passes the filter's request callbacks, reaches the
// upstream handler, and its response passes the filter's response callbacks
// back to the client, chunk by chunk as the handler flushes.
//
// # What is modelled
//
// The host follows Envoy's filter manager and its Wasm extension where a
// filter can tell the difference:
//
//   - Pausing in a header callback stops everything, body callbacks too,
//     unless [Options].AllowOnHeadersStopIteration is set.
//   - A paused body is gathered: the next body callback sees all of it. A body
//     that is let through comes chunk by chunk.
//   - A gathered body over [Options].BufferLimit fails the stream: 413 for a
//     request; for a response 500, or a cut once its headers have passed. A
//     body stopped with StopIterationAndWatermark (2) has no limit: reading
//     waits instead, and chunks come one by one.
//   - Headers can be read and written only in their own phase and while they
//     are paused; otherwise the host call answers status 2, bad argument.
//   - A local reply in the request phase, Envoy's own (413, 503, 504, 404)
//     and the filter's, passes the filter's response callbacks. In the
//     response phase it goes straight to the client, and cuts the stream if
//     response headers have passed.
//   - An upstream reset, a client that goes away: on_log, on_done, on_delete
//     and nothing else.
//   - Trailers of HTTP/2 on both sides; the end of stream then comes with
//     them. Those of HTTP/1 clients are dropped, as Envoy does unless told
//     otherwise.
//   - A panic that escapes kills the VM, and its streams at their next event;
//     [Options].FailurePolicy decides what becomes of new requests.
//   - Dynamic metadata of filters in front of this one, read as properties.
//   - Ticks, metrics, properties, effective contexts, HTTP call-outs, several
//     plugins in one VM ([Host.Share]).
//
// One VM runs at a time, as in one Envoy worker. Each claim is checked: the
// exchanges of package conformance run here and on a real Envoy, and the
// traces of both must be equal. Not modelled: TCP filters, gRPC call-outs,
// shared queues, foreign functions, trailers that a filter adds to a message
// without any, more than one filter in a chain.
package filtertest
