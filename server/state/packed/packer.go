package packed

import (
	"fmt"
	"sync/atomic"

	"antwort/server/state"
	"antwort/shared/seal"
)

// Packer packs the texts of one store. The zero value seals nothing, and opens nothing
// that is sealed. It may be used by concurrent goroutines.
type Packer struct{ sealing atomic.Pointer[sealing] }

// sealing is how texts are sealed and opened.
type sealing struct {
	keys *seal.Sealer // nil: there are none
	on   bool         // what is written is sealed
}

// Use says with which keys sealed texts are opened from now on, nil for none, and
// whether what is written is sealed.
func (p *Packer) Use(keys *seal.Sealer, on bool) { p.sealing.Store(&sealing{keys, on && keys != nil}) }

// Pack returns what a database holds for a text.
func (p *Packer) Pack(at Place, text []byte) []byte {
	packed := pack(text)
	if s := p.sealing.Load(); s != nil && s.on {
		return s.keys.Append(append(make([]byte, 0, 1+len(packed)+seal.Overhead), sealed), seal.Row, at.bound(), packed)
	}
	return packed
}

// errSealed is a text of a key that is gone, or that was changed or moved.
var errSealed = fmt.Errorf("%w: it is sealed, and no key of state.keys opens it", state.ErrUnreadable)

// Open opens what a database has in a place.
func (p *Packer) Open(at Place, packed []byte) (Opened, error) {
	if len(packed) == 0 || packed[0] != sealed {
		return packed, nil
	}
	if s := p.sealing.Load(); s != nil && s.keys != nil {
		if opened, ok := s.keys.Open(seal.Row, at.bound(), packed[1:]); ok {
			return opened, nil
		}
	}
	return nil, errSealed
}

// Unpack returns the text of a place. It is the caller's own when packed is.
func (p *Packer) Unpack(at Place, packed []byte) ([]byte, error) {
	o, err := p.Open(at, packed)
	if err != nil {
		return nil, err
	}
	return o.Text()
}
