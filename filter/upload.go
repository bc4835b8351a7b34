package filter

import (
	"bytes"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// upload is the body of a request that is read before it goes on. It is checked
// as it comes, and charged for before it is kept.
type upload struct {
	*exchange
	body body
	sent bool // it has gone on
	past int  // bytes of what came behind it
}

// pastBytes is how much white space may come behind a document.
const pastBytes = 64 << 10

// expect makes an empty upload ready for the body of x.
func (u *upload) expect(x *exchange, h header) {
	u.exchange = x
	u.body.buffers, u.body.length, u.body.most = &x.buffers, h.length(), int(x.cfg.Limits.RequestBodyBytes)
	u.body.check.Limits = x.jsonLimits().Text()
}

// overLength refuses a body by the length that it announces.
func (u *upload) overLength() (action types.Action, refused bool) {
	limits := &u.cfg.Limits
	switch {
	case u.body.length > limits.RequestBodyBytes:
		return u.reply(failure.TooLarge, policy.TooLarge(limits.RequestBodyBytes)), true
	case u.body.length > 0 && !u.memory.admits(0, limits.InFlight(true)):
		return u.reply(failure.Overloaded, policy.Overloaded()), true
	}
	return 0, false
}

// next takes the next chunk. all is the body when it is whole, valid until the
// callback's end; until then, and when the request has been answered, action is
// what the callback returns.
func (u *upload) next(size int, end bool) (all []byte, action types.Action, whole bool) {
	limit, b := u.cfg.Limits.RequestBodyBytes, &u.body
	if u.holding.dropped {
		return nil, u.reply(failure.Overloaded, policy.Overloaded()), false
	}
	if int64(len(b.buf)+size) > limit { // it is not even copied
		return nil, u.reply(failure.TooLarge, policy.TooLarge(limit)), false
	}
	chunk := requestChunk(size)
	if !b.atOnce(len(chunk), end) && !u.holdRequest(b.room(len(chunk))) {
		return nil, u.reply(failure.Overloaded, policy.Overloaded()), false
	}
	all, whole = b.add(chunk, end)
	if b.isWrong(whole) && !u.decision.Optional() {
		if e := responses.CheckRest(b.buf, b.passed, u.jsonLimits()); e != nil {
			return nil, u.reply(failure.InvalidRequest, e), false
		}
	}
	if whole {
		u.uploaded()
		return all, 0, true
	}
	u.uploading()
	setRequestChunk(nil, size)
	if u.gated() {
		return nil, pauseNoBuffer, false
	}
	return nil, types.ActionContinue, false
}

// isChecked reports whether the body was checked as it came, and is right.
func (u *upload) isChecked() bool { return u.body.check.Valid() }

// trailing takes what comes after the document, and refuses all but a little white space.
func (u *upload) trailing(size int) (action types.Action, refused bool) {
	if u.past += size; u.past <= pastBytes && len(bytes.TrimLeft(requestChunk(size), " \t\r\n")) == 0 {
		return types.ActionContinue, false
	}
	return u.reply(failure.InvalidRequest, responses.NewError(400, "invalid_json", "the request body is not valid JSON: unexpected data after the JSON value")), true
}

// trailers end the request. A document that is not complete by now is none: a
// body can no longer be sent.
func (u *upload) trailers() types.Action {
	u.gate.passed(u.exchange)
	if u.sent {
		u.left()
		return types.ActionContinue
	}
	if u.holding.dropped {
		return u.reply(failure.Overloaded, policy.Overloaded())
	}
	if e := responses.Check(u.body.buf, responses.Limits{}); e != nil {
		return u.reply(failure.InvalidRequest, e)
	}
	return u.reply(failure.InvalidRequest, responses.NewError(400, "invalid_json", "the request body must be a JSON object"))
}

func (u *upload) free() { u.body.free() }
