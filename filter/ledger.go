package filter

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// ledger keeps the gauge of held bytes right although VMs may die: all VMs of a
// process add to one gauge, and what a dead one held it cannot take back. So each
// VM has an entry among the data that VMs share: what of the gauge is its, and
// when it was alive. Who finds an entry that is too old takes it back.
type ledger struct {
	life  uint64  // names this VM
	told  int64   // what of the gauge is this VM's
	until instant // while the VM is young it looks for entries of its predecessor
}

const (
	ledgerKey  = "antwort.held"
	ledgerSize = 3 * 8 // life, bytes, when in milliseconds; little endian
	alive      = 10 * time.Second
	ledgerEach = 250 * time.Millisecond
)

// begin is for a VM's start.
func (l *ledger) begin(now instant) {
	if l.life == 0 {
		l.life, l.until = rand.Uint64()|1, now+instant(2*alive) //nolint:gosec // it tells instances apart, and is no secret
	}
}

// settle tells gauge and ledger what this VM holds. It reports whether there is
// nothing to do until that changes.
func (l *ledger) settle(gauge proxywasm.MetricGauge, held int64, now instant) (settled bool) {
	data, cas, err := proxywasm.GetSharedData(ledgerKey)
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		return true // a host without shared data: nothing of the gauge is told
	}
	fresh, dead := l.entries(data, held, now)
	if string(fresh) != string(data) && proxywasm.SetSharedData(ledgerKey, fresh, cas) != nil {
		return false // another VM was faster: at the next tick
	}
	if more := held - l.told - dead; more != 0 {
		gauge.Add(more)
	}
	l.told = held
	return held == 0 && now > l.until
}

// entries are those of data with this VM's as it is now, and without those of the
// dead, who leave so many bytes.
func (l *ledger) entries(data []byte, held int64, now instant) (fresh []byte, dead int64) {
	found := false
	for ; len(data) >= ledgerSize; data = data[ledgerSize:] {
		life, bytes, when := binary.LittleEndian.Uint64(data), int64(binary.LittleEndian.Uint64(data[8:])), instant(binary.LittleEndian.Uint64(data[16:]))
		switch {
		case life == l.life:
			found = true
			if held == l.told && now.since(when) < alive/4 {
				fresh = append(fresh, data[:ledgerSize]...) // as it is
			} else if held > 0 {
				fresh = l.entry(fresh, held, now)
			}
		case now.since(when) > alive:
			dead += bytes
		default:
			fresh = append(fresh, data[:ledgerSize]...)
		}
	}
	if !found {
		l.told = 0 // it has taken this VM for dead
		if held > 0 {
			fresh = l.entry(fresh, held, now)
		}
	}
	return fresh, dead
}

func (l *ledger) entry(dst []byte, held int64, now instant) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, l.life)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(held))
	return binary.LittleEndian.AppendUint64(dst, uint64(now))
}
