package streaming

import (
	"net/http"

	"antwort/server/adopt"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Adopted is the kind of a stream whose response becomes the server's own. keeper stores
// how it ends; nil: nobody does.
func Adopted(r *adopt.Response, keeper Keeper) Kind { return adopted{r, keeper} }

type adopted struct {
	response *adopt.Response
	kept     Keeper
}

func (a adopted) keeper() Keeper { return a.kept }

func (a adopted) events() Events { return adoptedEvents{a.response.Stream()} }

// adoptedEvents are the events of a response that becomes the server's own.
type adoptedEvents struct{ *adopt.Stream }

// Ending is the last event as it comes and as it goes.
func (e adoptedEvents) Ending() int { return 2 * e.Held() }

// receive passes a stream's header on, or what a backend says that came in the place of
// one which broke off.
func (a adopted) receive(s *Stream, ans *upstream.Answer) (flows bool, f *failure.Failure) {
	if IsWatched("", ans) {
		s.passHead(ans)
		return true, nil
	}
	defer ans.Close()
	if ans.Status != http.StatusOK {
		return false, s.call.Refused(s.ctx, ans)
	}
	return false, failure.Of(failure.UpstreamAnswer, policy.NotStreamed())
}

func (adopted) flowed(*Stream, *upstream.Answer) {}
