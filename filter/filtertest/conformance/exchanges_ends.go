package conformance

import (
	"time"

	"antwort/filter/filtertest"
)

// trailerExchanges are about ends of stream that come with trailers.
func trailerExchanges() []Exchange {
	trailers := "x-trailer: last"
	chunks := Answer{Chunks: []string{"one ", "two "}, Trailers: "x-trailer: last"}
	return []Exchange{
		{Name: "trailers-request", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb:read;reqt:trailer=x-trailer"},
		{Name: "trailers-request-paused", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb:pause;reqt:read,replace=whole"},
		{Name: "trailers-request-drained", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb:drain;reqt:read,replace=whole,append=whole"},
		{Name: "trailers-request-paused-drained", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb:pause,drain;reqt:read,replace=whole"},
		{Name: "trailers-request-drained-last-chunk-paused", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb1:drain;reqb2:pause,drain;reqt:read,replace=whole"},
		{Name: "trailers-request-headers-held", Setup: Setup{Knob: true}, HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqh:pause;reqb:pause;reqt:reqset=x-late~1,replace=whole"},
		{Name: "trailers-request-reply", Arrives: true, HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqb:drain;reqt:reply=400~bad"},
		{Name: "trailers-request-paused-in-trailers", HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqt:pause,arm=1;tick:contreq"},
		{Name: "trailers-request-without-the-knob-continued-by-tick", HTTP2: true, Chunks: two, Blind: true, Trailers: trailers, Script: "reqh:pause,arm=15;reqt:trailer=x-trailer;tick:contreq"},
		{Name: "trailers-request-watermark-drained", Setup: Setup{Knob: true}, HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqh:pause;reqb1:pausewatermark,drain;reqb2:replace=whole;reqt:reqset=x-late~1"},
		{Name: "trailers-request-watermark-drained-reply", Setup: Setup{Knob: true}, HTTP2: true, Chunks: two, Trailers: trailers, Script: "reqh:pause;reqb:pausewatermark,drain;reqt:reply=400~bad"},
		{Name: "trailers-response", HTTP2: true, Answer: chunks, Script: "resb:read;rest:trailer=x-trailer"},
		{Name: "trailers-response-to-http1", Setup: Setup{HTTP2Upstream: true}, Answer: chunks, Script: "rest:trailer=x-trailer"},
		{Name: "trailers-response-paused", HTTP2: true, Answer: chunks, Script: "resb:pause;rest:read,replace=whole"},
		{Name: "trailers-response-drained", HTTP2: true, Answer: chunks, Script: "resb:drain;rest:read,replace=whole,append=whole"},
		{Name: "trailers-response-paused-drained", HTTP2: true, Answer: chunks, Script: "resb:pause,drain;rest:read,replace=whole"},
		{Name: "trailers-response-drained-last-chunk-paused", HTTP2: true, Answer: chunks, Script: "resb1:drain;resb2:pause,drain;rest:read,replace=whole"},
		{Name: "trailers-response-headers-held", Setup: Setup{Knob: true}, HTTP2: true, Answer: chunks, Script: "resh:pause;resb:pause;rest:resset=x-late~1,replace=whole"},
		{Name: "trailers-response-reply", HTTP2: true, Answer: chunks, Script: "rest:reply=502~bad"},
		{Name: "trailers-response-reply-headers-held", Setup: Setup{Knob: true}, HTTP2: true, Answer: chunks, Script: "resh:pause;resb:pause;rest:reply=502~bad"},
	}
}

// faultExchanges are about streams that end before their time.
func faultExchanges() []Exchange {
	short := Setup{RouteTimeout: 500 * time.Millisecond}
	chunks := []string{"one ", "two "}
	return []Exchange{
		{Name: "upstream-unreachable", Setup: Setup{Unreachable: true}, Script: "resh:resget=:status,resnames;resb:read"},
		{Name: "upstream-unreachable-reply-shaped", Setup: Setup{Unreachable: true}, Script: "resh:resdel=content-length,resset=content-type~application/json;resb:replace=shaped"},
		{Name: "upstream-reset-before-headers", Answer: Answer{Reset: true}, Script: "resb:read"},
		{Name: "upstream-reset-in-the-body", Answer: Answer{Chunks: chunks, Reset: true}},
		{Name: "upstream-reset-while-headers-are-held", Setup: Setup{Knob: true}, Answer: Answer{Chunks: chunks, Reset: true}, Script: "resh:pause;resb:pause"},
		{Name: "upstream-reset-while-the-body-is-held", Answer: Answer{Chunks: chunks, Reset: true}, Script: "resb:pause"},
		{Name: "upstream-reset-http2", HTTP2: true, Answer: Answer{Chunks: chunks, Reset: true}},
		{Name: "client-gone-in-the-request", Arrives: true, Chunks: two, AbortAfter: "request_headers", Script: "reqb:pause"},
		{Name: "client-gone-before-the-response", Answer: Answer{Hang: true}, AbortAfter: Arrived},
		{Name: "client-gone-in-the-response", Answer: Answer{Chunks: chunks[:1], Hang: true}, AbortAfter: "response_body"},
		{Name: "client-gone-in-the-response-http2", HTTP2: true, Answer: Answer{Chunks: chunks[:1], Hang: true}, AbortAfter: "response_body"},
		{Name: "timeout-before-headers", Setup: short, Answer: Answer{Hang: true}, Script: "resb:read"},
		{Name: "timeout-in-the-body", Setup: short, Answer: Answer{Chunks: chunks, Hang: true}},
		{Name: "timeout-while-headers-are-held", Setup: Setup{RouteTimeout: short.RouteTimeout, Knob: true}, Answer: Answer{Chunks: chunks, Hang: true}, Script: "resh:pause;resb:pause"},
		{Name: "timeout-does-not-run-while-the-request-is-open", Setup: short, Chunks: two, Answer: Answer{Body: "fine"}},
	}
}

// panicExchanges kill their VM: each setup has one of its own.
func panicExchanges() []Exchange {
	chunks := Answer{Chunks: []string{"one ", "two "}}
	closed := func(vm string) Setup { return Setup{OwnVM: vm} }
	open := func(vm string) Setup { return Setup{OwnVM: vm, Policy: filtertest.FailOpen} }
	reload := Setup{OwnVM: "reload", Policy: filtertest.FailReload}
	return []Exchange{
		{Name: "panic-in-request-headers", Setup: closed("a"), Kills: true, Script: "reqh:panic", Then: "next"},
		{Name: "panic-in-request-body", Arrives: true, Setup: closed("b"), Kills: true, Chunks: two, Open: true, Script: "reqb2:panic", Then: "next"},
		{Name: "panic-in-response-headers", Setup: closed("c"), Kills: true, Answer: chunks, Script: "resh:panic", Then: "next"},
		{Name: "panic-in-response-body", Setup: closed("d"), Kills: true, Answer: chunks, Script: "resb2:panic", Then: "next"},
		{Name: "panic-open-in-request-headers", Setup: open("e"), Kills: true, Answer: Answer{Body: "passed"}, Script: "reqh:panic", Then: "next"},
		{Name: "panic-open-in-response-body", Setup: open("f"), Kills: true, Answer: chunks, Script: "resb1:panic", Then: "next"},
		{Name: "panic-of-another-stream-in-the-request", Setup: closed("g"), Kills: true, Chunks: two, Arrives: true, Open: true, Meanwhile: "reqh:panic"},
		{Name: "panic-of-another-stream-in-the-response", Setup: closed("h"), Kills: true, Answer: Answer{Chunks: chunks.Chunks, Meanwhile: "reqh:panic"}},
		{Name: "panic-of-another-stream-open", Setup: open("i"), Kills: true, Answer: Answer{Chunks: chunks.Chunks, Meanwhile: "reqh:panic"}},
		{Name: "panic-of-another-stream-reload", Setup: Setup{OwnVM: "reload2", Policy: filtertest.FailReload}, Kills: true, Answer: Answer{Chunks: chunks.Chunks, Meanwhile: "reqh:panic"}},
		{Name: "panic-reload", Setup: reload, Kills: true, Revives: true, Script: "reqh:panic", Then: "next"},
	}
}
