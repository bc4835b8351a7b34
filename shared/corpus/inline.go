package corpus

import "bytes"

// Inline is what is expected of the case where headers are never held back
// (the filter's profile inline): the upstream's status has left before what its
// answer says is known. A whole answer that fails then becomes a response that has
// failed, a stream begins before its first event has come, and an error keeps the
// status of the upstream's.
func (c *Case) Inline() Result {
	want := c.Expected
	if want.Error == nil || want.Chat == nil {
		return want
	}
	if c.Status == 500 {
		want.Error = bytes.Replace(want.Error, []byte(`"status":400`), []byte(`"status":500`), 1)
	}
	if c.Status != 200 {
		return want
	}
	_, turn, p, _ := c.request(Nonce)
	switch {
	case p != nil:
		_, e := p.Answer(nil, c.Answer, Ended)
		if want.Response = p.Failed(nil, e, Ended); p.Streaming() {
			want.Events, want.Response = want.Response, nil
		}
	case c.Stream != nil || turn.Streaming():
		s := turn.Stream()
		want.Events, _ = Stream(s.Start(nil), s, c.Stream, c.Answer)
	default:
		_, e := turn.Response(nil, c.Answer, Ended)
		want.Response = turn.Failed(nil, e)
	}
	want.Error = nil
	return want
}
