package streaming

import (
	"testing"
	"time"

	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// What each input means in each stage.
func TestPhases(t *testing.T) {
	told := failure.Of(failure.Shutdown, responses.NewError(503, "x", "y"))
	left := failure.Of(failure.ClientGone, nil)
	answered := func(p *phase) action { p.answered(time.Time{}); return nothing }
	bytes := func(p *phase) action { return p.bytes(time.Time{}) }
	ends := func(p *phase) action { return p.end(nil) }
	shutdown := func(p *phase) action { return p.end(told) }
	leaves := func(p *phase) action { return p.end(left) }
	begins := func(p *phase) action { p.begin(); return nothing }
	wrote := func(p *phase) action { p.wrote(time.Time{}, false); return nothing }
	last := func(p *phase) action { p.wrote(time.Time{}, true); return nothing }
	gone := func(p *phase) action { p.gone(); return nothing }
	for _, c := range []struct {
		name  string
		from  stage
		input func(*phase) action
		do    action
		to    stage
	}{
		{"a backend answers", asking, answered, nothing, listening},
		{"a backend answers after the first events", promised, answered, nothing, passing},
		{"bytes that make no event yet", listening, bytes, pass, listening},
		{"bytes", passing, bytes, pass, passing},
		{"late bytes", whole, bytes, nothing, whole},
		{"late bytes for nobody", broken, bytes, nothing, broken},
		{"the first events", listening, begins, nothing, passing},
		{"the first events come from us", asking, begins, nothing, promised},
		{"more of them", promised, wrote, nothing, promised},
		{"more events", passing, wrote, nothing, passing},
		{"the last events", passing, last, nothing, whole},
		{"an error in their place", promised, last, nothing, whole},
		{"a backend ends unheard", listening, ends, explain, asking},
		{"no backend answers", asking, shutdown, explain, asking},
		{"none does after the first events", promised, shutdown, conclude, promised},
		{"a backend ends", passing, ends, conclude, passing},
		{"the server stops", passing, shutdown, conclude, passing},
		{"the server stops unheard", listening, shutdown, explain, asking},
		{"the client leaves", passing, leaves, leave, broken},
		{"the client leaves early", promised, leaves, leave, broken},
		{"the client leaves before anything", listening, leaves, leave, unheard},
		{"the client leaves before any answer", asking, leaves, leave, unheard},
		{"the client does not read", passing, gone, nothing, broken},
		{"nor anything", listening, gone, nothing, unheard},
		{"an end after the end", whole, shutdown, nothing, whole},
		{"an end after the client", broken, ends, nothing, broken},
		{"the client leaves after the end", whole, leaves, nothing, whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := phase{at: c.from}
			require.Equal(t, c.do, c.input(&p))
			require.Equal(t, c.to, p.at)
			require.Equal(t, c.to >= whole, p.over())
		})
	}
}

func TestSilence(t *testing.T) {
	const idle, keepAlive = 100 * time.Second, 15 * time.Second
	begin := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name         string
		at           stage
		heard, spoke int // seconds from the begin
		keepAlive    time.Duration
		now          int
		do           action
		next         time.Duration
	}{
		{"nothing yet", listening, 0, 0, keepAlive, 10, nothing, 5 * time.Second},
		{"a sign of life", listening, 0, 0, keepAlive, 15, speak, keepAlive},
		{"the upstream waits for longer", passing, 0, 90, keepAlive, 95, nothing, 5 * time.Second},
		{"the upstream is silent", passing, 0, 99, keepAlive, 100, giveUp, idle},
		{"its silence comes first", passing, 0, 95, keepAlive, 95, nothing, 5 * time.Second},
		{"silence does not count before its header", asking, 0, 990, keepAlive, 1000, nothing, 5 * time.Second},
		{"nor after the first events", promised, 0, 985, keepAlive, 1000, speak, keepAlive},
		{"no signs of life", passing, 0, 0, 0, 40, nothing, 60 * time.Second},
		{"none, and silence", passing, 0, 0, 0, 100, giveUp, idle},
		{"it has ended", whole, 0, 0, keepAlive, 1000, nothing, 0},
		{"nobody is there", broken, 0, 0, keepAlive, 1000, nothing, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := phase{at: c.at, heard: at(c.heard), spoke: at(c.spoke), keepAlive: c.keepAlive}
			do, next := p.tick(at(c.now), idle)
			require.Equal(t, c.do, do)
			require.Equal(t, c.next, next)
		})
	}
}
