package server

import (
	"antwort/server/buffer"
	"antwort/shared/policy"
)

// What becomes of a request of the Responses API is decided by shared/policy;
// here its questions are answered.

// respond answers a request of the Responses API.
func (x *exchange) respond() {
	d, f := x.gen.decider.Begin(policy.Request{Endpoint: x.endpoint.Endpoint, Method: x.rec.Method, Caller: x.rec.Caller, HasBody: x.r.ContentLength != 0, Field: x.field})
	var body *buffer.Buffer // nil: not read
	if f == nil && d.Need != policy.Nothing {
		body, f = x.readBody()
	}
	if f == nil && d.Need == policy.Body {
		f = d.Body(body.B)
	}
	x.rec.Model = d.Model
	switch {
	case f != nil:
		body.Put()
		x.answerFailure(f)
	case d.Need == policy.Translation:
		x.translate(&d, body)
	default:
		x.forward(&d, body)
	}
}

// field returns the values of a header field that decisions depend on.
func (x *exchange) field(name string) []string { return x.r.Header[x.gen.fields[name]] }
