package filter

import (
	"runtime"

	"antwort/shared/config"
	"antwort/shared/jsontext"
)

// ground is memory of the VM that was written to before it is needed. The kernel gives memory page
// by page when it is first written to: what the first long body of a VM is translated in took as
// long to come as the translation itself. So it comes while the body does.
type ground struct {
	rooms [][]byte // until the next translation takes what they are
	taken bool     // the collector does not know yet that they are free
	bytes int      // of all that there were: memory of a VM never shrinks
}

// Of a body of firmBytes or more config.RequestCopies are made ready.
const (
	firmBytes = 1 << 20
	roomBytes = 256 << 10
	pageBytes = 4 << 10
)

// follow makes ready what the translation of a body needs of which so much has come.
func (g *ground) follow(came int) {
	if came < firmBytes {
		return
	}
	for ; g.bytes < config.RequestCopies*came; g.bytes += roomBytes {
		room := jsontext.Grow(nil, roomBytes)[:roomBytes]
		for i := 0; i < len(room); i += pageBytes {
			room[i] = 0
		}
		g.rooms, g.taken = append(g.rooms, room), true
	}
}

// drop is for a body that will not be translated.
func (g *ground) drop() { g.rooms = nil }

// free leaves what is ready to who needs memory now.
func (g *ground) free() {
	g.drop()
	if g.taken {
		g.taken = false
		runtime.GC()
	}
}
