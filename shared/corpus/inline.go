package corpus

import "antwort/shared/translate"

// Inline is what is expected of the case where headers are never held back
// (the filter's profile inline): status 200 has left before a failure of the
// upstream's answer is known. A whole answer then becomes a response that has
// failed, and a stream begins before its first event has come.
func (c *Case) Inline() Result {
	want := c.Expected
	if want.Error == nil || want.Chat == nil || c.Status != 200 {
		return want
	}
	_, turn, _ := translate.New(c.Options).Request(nil, c.Request, ID, Created)
	if c.Stream != nil || turn.Streaming() {
		s := turn.Stream()
		want.Events, _ = Stream(s.Start(nil), s, c.Stream, c.Answer)
	} else {
		_, e := turn.Response(nil, c.Answer, Ended)
		want.Response = turn.Failed(nil, e)
	}
	want.Error = nil
	return want
}
