package streaming

import (
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/responses"
)

// Events turns upstream bytes into the bytes of whole events for the client.
type Events interface {
	// Write appends the events that p completes. An error of kind
	// *responses.Error is only possible before any were produced, or is followed by
	// End.
	Write(dst, p []byte, now int64) ([]byte, error)
	// Start appends the first events although the upstream has sent nothing.
	Start(dst []byte) []byte
	// End appends what a stream that has ended still needs: nothing, or the
	// terminal events that cause (nil: the upstream just stopped) calls for.
	End(dst []byte, cause *responses.Error, now int64) []byte
	// Done reports that nothing more will come.
	Done() bool
	// Outcome is how they ended, or how far they have come. Its Resource is a part
	// of what Write or End appended, until Release.
	Outcome() responses.Outcome
	// Release ends the use of what Write was given.
	Release()
	// Held is how many bytes they hold.
	Held() int
	// Ending is about how many more their end will take.
	Ending() int
}

// Kind is what a stream is about.
type Kind interface {
	// events begins the events of an answer.
	events() Events
	// receive reports whether a backend's answer is a stream, which flows then.
	// Another one is dealt with.
	receive(s *Stream, ans *upstream.Answer) (flows bool, f *failure.Failure)
	// keeper stores how the events end; nil: nobody does.
	keeper() Keeper
	// flowed looks at an answer after its end.
	flowed(s *Stream, ans *upstream.Answer)
}
