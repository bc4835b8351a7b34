package filter

// unread is a long answer that has been given to Envoy and is, likely, not with its client
// yet: Envoy holds it beyond the end of the stream, and nobody says until when. For as long
// as one of departures may need it takes room from new requests, those of its caller first,
// and from nothing that runs.
type unread struct {
	caller string
	bytes  int64
	until  instant
}

// handsOver notes that n bytes of an answer, with which it ends, are on their way to the client.
func (x *exchange) handsOver(n int) {
	if n < departureBytes {
		return
	}
	x.countsFor()
	u := unread{x.holding.charge.caller, int64(n), x.underWay(n)}
	m := &x.memory
	m.unread = append(m.unread, u)
	m.unreadBytes += u.bytes
	m.count(u.caller, u.bytes)
	x.wake()
}

// forget lets those go that have had their time.
func (m *memory) forget(now instant) {
	kept := m.unread[:0]
	for _, u := range m.unread {
		if now < u.until {
			kept = append(kept, u)
			continue
		}
		m.unreadBytes -= u.bytes
		m.count(u.caller, -u.bytes)
	}
	clear(m.unread[len(kept):])
	m.unread = kept
}
