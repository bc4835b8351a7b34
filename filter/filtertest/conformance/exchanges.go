package conformance

import (
	"slices"
	"strings"
)

// Exchanges are all exchanges, by subject.
func Exchanges() []Exchange {
	return slices.Concat(requestExchanges(), responseExchanges(), replyExchanges(),
		limitExchanges(), trailerExchanges(), faultExchanges(), panicExchanges())
}

var two = []string{"aaaa", "bb"}

// noted is dynamic metadata with a value of each kind.
const noted = `{"text":"alice","empty":"","unicode":"ä\u0000","number":42,"large":1e300,"yes":true,"no":false,"nothing":null,` +
	`"list":["antwort","x"],"none":[],"mixed":["a",1,true,["b"]],"broken":["a",null],"emptied":["a",{}],"object":{"text":"inside"},"deep":{"object":{"list":["y"]}}}`

// readNoted is a script that reads all of it in each of the phases.
func readNoted(phases ...string) string {
	var paths []string
	for _, path := range []string{
		"text", "empty", "unicode", "number", "large", "yes", "no", "nothing", "list", "none", "mixed", "broken", "emptied", "object", "deep",
		"missing", "object/text", "deep/object/list", "object/missing", "text/deeper", "list/0", "list/1", "list/2", "list/x",
	} {
		paths = append(paths, "property=metadata/filter_metadata/noted.by/"+path)
	}
	reads := strings.Join(append(paths, "property=metadata/filter_metadata/nobody/text"), ",")
	return strings.Join(phases, ":"+reads+";") + ":" + reads
}

func requestExchanges() []Exchange {
	return []Exchange{
		{Name: "request-without-body", Answer: Answer{Body: "hello"}},
		{Name: "request-body-let-through-comes-in-chunks", Chunks: two, Script: "reqb:read"},
		{Name: "request-body-paused-comes-cumulative", Chunks: two, Script: "reqb:pause,read;reqe:read"},
		{Name: "request-body-paused-then-let-through", Chunks: []string{"aaaa", "bb", "cc"},
			Script: "reqb1:pause,read;reqb2:read;reqb3:read;reqe:read"},
		{Name: "request-body-paused-to-the-end-then-continued-by-tick", Chunks: two,
			Script: "reqb:pause;reqe:pause,arm=1;tick:contreq"},
		{Name: "request-body-drained-and-replaced-at-the-end", Chunks: two,
			Script: "reqh:reqdel=content-length;reqb:drain;reqe:replace=whole"},
		{Name: "request-body-paused-drained-and-replaced-at-the-end", Chunks: two,
			Script: "reqb:pause,drain;reqe:read,replace=whole"},
		{Name: "request-body-edited-chunk-by-chunk", Chunks: []string{"aaaa", "bb", "cc"},
			Script: "reqb1:prepend=<,append=>,read;reqb2:replace=BB;reqb3:drain;reqe:append=end"},
		{Name: "request-body-with-length-shortened-without-its-header", Chunks: two, Sized: true,
			Script: "reqh:reqdel=content-length;reqb:drain;reqe:replace=x"},
		{Name: "request-with-length", Chunks: two, Sized: true, Script: "reqb:read"},
		{Name: "request-headers-changed", Chunks: two,
			Script: "reqh:reqset=x-new~1,reqadd=x-new~2,reqdel=user-agent,reqset=:path~/other,reqset=content-type~application/json"},
		{Name: "request-headers-closed-in-the-body-phase", Chunks: two,
			Script: "reqb1:reqget=x-case,reqset=x-new~1,reqadd=x-new~1,reqdel=x-case,reqnames"},
		{Name: "request-headers-closed-in-the-response-phase", Answer: Answer{Body: "b"},
			Script: "resh:reqget=x-case,reqnames;log:reqget=x-case,resget=:status,reqset=x-a~b"},
		{Name: "request-header-names", Chunks: two, Script: "reqh:reqnames", Answer: Answer{Body: "b"}},
		{Name: "request-header-names-http2", Chunks: two, HTTP2: true, Script: "reqh:reqnames"},

		{Name: "request-headers-paused-hang-without-the-knob", Chunks: two, Blind: true,
			Script: "reqh:pause", AbortAfter: "request_headers"},
		{Name: "request-headers-paused-without-the-knob-continued-by-tick", Chunks: two, Blind: true,
			Script: "reqh:pause,arm=15;tick:reqget=x-case,contreq;reqb:read"},
		{Name: "request-headers-paused-without-body-continued-by-tick", Script: "reqh:pause,arm=1;tick:contreq"},
		{Name: "request-headers-paused-without-the-knob-answered-by-tick", Chunks: two, Blind: true, Open: true,
			Script: "reqh:pause,arm=15;tick:reply=500~late"},
		{Name: "request-headers-held-with-the-knob", Setup: Setup{Knob: true}, Chunks: two,
			Script: "reqh:pause;reqb:pause,read,reqset=x-seen~body;reqe:read,replace=whole,reqset=x-end~1,reqdel=content-length,reqget=x-seen"},
		{Name: "request-headers-held-with-the-knob-path-changed-later", Setup: Setup{Knob: true}, Chunks: two,
			Script: "reqh:pause;reqb:pause;reqe:reqset=:path~/later"},
		{Name: "request-headers-held-with-the-knob-let-go-by-a-chunk", Setup: Setup{Knob: true}, Chunks: []string{"aaaa", "bb", "cc"},
			Script: "reqh:pause;reqb1:pause;reqb2:read,reqset=x-seen~1;reqb3:read,reqset=x-late~1"},
		{Name: "request-headers-held-with-the-knob-without-body", Setup: Setup{Knob: true}, Script: "reqh:pause,arm=1;tick:contreq"},
		{Name: "request-headers-held-with-the-knob-drained", Setup: Setup{Knob: true}, Chunks: two,
			Script: "reqh:pause;reqb:pause,drain;reqe:replace=whole"},
		{Name: "request-waits-for-a-call-out", Chunks: two, Blind: true, Script: "reqh:pause,call=other;call:contreq"},
		{Name: "call-out-to-an-unknown-cluster", Script: "reqh:call=nowhere"},
		{Name: "request-http2", HTTP2: true, Chunks: two, Script: "reqb:read"},
		{Name: "request-metadata", Setup: Setup{Metadata: noted}, Chunks: two, Script: readNoted("reqh", "reqb1", "resh")},
		{Name: "request-metadata-missing", Script: readNoted("reqh")},
		{Name: "path-without-route", Setup: Setup{Routes: []string{"/path"}}, Chunks: two, Open: true, Blind: true,
			Script: "reqh:reqset=:path~/nowhere"},
		{Name: "path-changed-to-another-route", Setup: Setup{Routes: []string{"/path", "/other"}},
			Script: "reqh:reqset=:path~/other"},
	}
}

func responseExchanges() []Exchange {
	chunks := Answer{Chunks: []string{"one ", "two ", "three"}}
	return []Exchange{
		{Name: "response-chunks", Answer: chunks, Script: "resb:read"},
		{Name: "response-whole", Answer: Answer{Body: "whole"}, Script: "resb:read"},
		{Name: "response-empty", Answer: Answer{Status: 204}},
		{Name: "response-names", Answer: chunks, Script: "resh:resnames"},
		{Name: "response-gathered", Answer: chunks, Script: "resb:pause,read;rese:read,replace=all"},
		{Name: "response-replaced-chunk-by-chunk", Answer: chunks, Script: "resb1:replace=1;resb2:drain;resb3:prepend=<;rese:append=end"},
		{Name: "response-drained", Answer: chunks, Script: "resb:drain;rese:replace=all"},
		{Name: "response-paused-drained", Answer: chunks, Script: "resb:pause,drain;rese:read,replace=all"},
		{Name: "response-headers-changed", Answer: Answer{Body: "whole"},
			Script: "resh:resset=:status~418,resdel=content-length,resset=x-new~1,resset=content-type~application/json;rese:append=, and more"},
		{Name: "response-grown-with-its-length-kept", Answer: Answer{Body: "whole"}, Script: "rese:append=, and more"},
		{Name: "request-grown-with-its-length-kept", Chunks: []string{"aaaa"}, Sized: true, Script: "reqe:append=, and more"},
		{Name: "response-headers-closed-in-the-body-phase", Answer: Answer{Body: "whole"},
			Script: "resb1:resget=x-answer,resset=x-new~1,resdel=x-answer,resnames"},
		{Name: "response-headers-paused-hang-without-the-knob", Answer: Answer{Chunks: []string{"one"}, Blind: true, Hang: true},
			Script: "resh:pause", AbortAfter: "response_headers"},
		{Name: "response-headers-paused-without-the-knob-continued-by-tick", Answer: Answer{Chunks: []string{"one"}, Blind: true, WaitFor: "tick"},
			Script: "resh:pause,arm=15;tick:contres;resb:read"},
		{Name: "response-headers-held-with-the-knob", Setup: Setup{Knob: true}, Answer: chunks,
			Script: "resh:pause;resb:pause,resset=x-seen~1;rese:read,replace=all,resset=:status~502,resset=x-end~1"},
		{Name: "response-headers-held-with-the-knob-let-go-by-a-chunk", Setup: Setup{Knob: true}, Answer: chunks,
			Script: "resh:pause;resb1:pause;resb2:read,resset=x-seen~1;resb3:read,resset=x-late~1"},
		{Name: "response-http2", HTTP2: true, Answer: chunks, Script: "resb:read"},
		{Name: "response-before-the-request-has-ended", Chunks: two, Open: true, Answer: Answer{Early: "request_body size=2", Body: "early"}},
	}
}

func replyExchanges() []Exchange {
	chunks := Answer{Chunks: []string{"one ", "two "}}
	return []Exchange{
		{Name: "reply-in-request-headers", Chunks: two, Open: true, Blind: true, Script: "reqh:reply=401~no"},
		{Name: "reply-without-body", Script: "reqh:reply=204~"},
		{Name: "reply-twice", Script: "reqh:reply=401~one,reply=402~two"},
		{Name: "reply-shaped-by-its-own-callbacks", Script: "reqh:reply=401~no;resh:resget=x-reply,resnames,resdel=content-length,resset=content-type~application/json;resb:read,replace=shaped"},
		{Name: "reply-gathered-by-its-own-callbacks", Script: "reqh:reply=401~no;resb:pause;rese:pause,arm=1;tick:contres"},
		{Name: "reply-in-request-body", Arrives: true, Chunks: two, Open: true, Script: "reqb2:reply=400~bad"},
		{Name: "reply-at-the-request-end-held", Setup: Setup{Knob: true}, Chunks: two, Script: "reqh:pause;reqb:pause;reqe:reply=400~bad"},
		{Name: "reply-at-the-request-end-inline", Arrives: true, Chunks: two, Script: "reqb:drain;reqe:reply=400~bad"},
		{Name: "reply-at-the-request-end-paused", Arrives: true, Chunks: two, Script: "reqb:pause,drain;reqe:reply=400~bad"},
		{Name: "reply-in-response-headers", Answer: Answer{Chunks: []string{"one "}, Blind: true}, Script: "resh:reply=502~replaced"},
		{Name: "reply-in-response-body", Answer: chunks, Script: "resb2:reply=502~replaced"},
		{Name: "reply-in-response-body-headers-held", Setup: Setup{Knob: true}, Answer: chunks, Script: "resh:pause;resb1:pause;resb2:reply=502~replaced"},
		{Name: "reply-at-the-response-end-headers-held", Setup: Setup{Knob: true}, Answer: chunks, Script: "resh:pause;resb:pause;rese:reply=502~replaced"},
	}
}

func limitExchanges() []Exchange {
	small := Setup{BufferLimit: smallLimit}
	held := Setup{BufferLimit: smallLimit, Knob: true}
	big := []string{strings.Repeat("a", 10<<10), strings.Repeat("b", 10<<10)}
	// Each of these fits into one packet, so that it comes as one chunk.
	many := []string{strings.Repeat("a", 3<<10), strings.Repeat("b", 3<<10), strings.Repeat("c", 3<<10), strings.Repeat("d", 3<<10), strings.Repeat("e", 3<<10), strings.Repeat("f", 3<<10)}
	return []Exchange{
		{Name: "limit-request-held", Arrives: true, Setup: small, Chunks: big, Open: true, AnySizes: true, Script: "reqb:pause"},
		{Name: "limit-request-held-with-headers", Setup: held, Chunks: big, Open: true, AnySizes: true, Script: "reqh:pause;reqb:pause"},
		{Name: "limit-request-held-http2", Setup: small, HTTP2: true, Chunks: big, AnySizes: true, Script: "reqb:pause;reqe:read"},
		{Name: "limit-response-held-http2", Setup: small, HTTP2: true, AnySizes: true, Script: "resb:pause;rese:read", Answer: Answer{Chunks: big, Blind: true}},
		{Name: "limit-request-let-through", Setup: small, Chunks: big, AnySizes: true},
		{Name: "limit-request-drained", Setup: small, Chunks: many, Script: "reqb:drain;reqe:fill=40000"},
		{Name: "limit-request-paused-drained", Setup: small, Chunks: many, Script: "reqb:pause,drain;reqe:fill=1000"},
		{Name: "limit-request-paused-drained-replaced-by-more", Arrives: true, Setup: small, Chunks: many, Script: "reqb:pause,drain;reqe:fill=40000"},
		{Name: "limit-request-grown-while-held", Setup: held, Chunks: two, Script: "reqh:pause;reqb:pause;reqe:fill=40000"},
		{Name: "limit-request-watermark-drained-replaced-by-more", Setup: small, Chunks: many, Script: "reqb:pausewatermark,drain;reqe:fill=40000"},
		{Name: "limit-request-watermark-held-with-headers-replaced-by-more", Setup: held, Chunks: many, Script: "reqh:pause;reqb:pausewatermark,drain;reqe:fill=40000,reqset=x-late~1"},
		{Name: "limit-request-watermark-held-with-headers-let-go-early", Setup: held, Chunks: two, Script: "reqh:pause;reqb1:pausewatermark,drain;reqb2:fill=40000,reqset=x-late~1;reqe:drain"},
		{Name: "limit-request-watermark-held-with-headers-replaced-by-8-megabytes", Setup: Setup{Knob: true}, Chunks: two, Script: "reqh:pause;reqb:pausewatermark,drain;reqe:fill=8000000"},
		{Name: "limit-request-drained-replaced-by-8-megabytes", Chunks: two, Script: "reqb:drain;reqe:fill=8000000"},
		{Name: "limit-response-watermark-held-with-headers-replaced-by-8-megabytes", Setup: Setup{Knob: true}, Answer: Answer{Chunks: two}, Script: "resh:pause;resb:pausewatermark,drain;rese:fill=8000000"},
		{Name: "limit-response-watermark-held-with-headers-replaced-by-more", Setup: held, Script: "resh:pause;resb:pausewatermark,drain;rese:fill=40000,resset=x-late~1", Answer: Answer{Chunks: many}},
		{Name: "limit-response-watermark-drained-replaced-by-more", Setup: small, Script: "resb:pausewatermark,drain;rese:fill=40000", Answer: Answer{Chunks: many}},
		{Name: "request-body-watermark-comes-in-chunks", Chunks: two, Script: "reqb:pausewatermark,read;reqe:read"},
		{Name: "limit-response-held", Setup: small, AnySizes: true, Script: "resb:pause", Answer: Answer{Chunks: big, Blind: true}},
		{Name: "limit-response-held-with-headers", Setup: held, AnySizes: true, Script: "resh:pause;resb:pause", Answer: Answer{Chunks: big, Blind: true}},
		{Name: "limit-response-drained", Setup: small, Script: "resb:drain;rese:fill=40000", Answer: Answer{Chunks: many}},
		{Name: "limit-response-paused-drained", Setup: small, Script: "resb:pause,drain;rese:fill=1000", Answer: Answer{Chunks: many}},
		{Name: "limit-response-grown-while-held", Setup: held, Script: "resh:pause;resb:pause;rese:fill=40000", Answer: Answer{Chunks: two}},
		{Name: "limit-response-grown-while-paused", Setup: small, Script: "resb:pause;rese:fill=40000", Answer: Answer{Chunks: two}},
	}
}
