//go:build wasip1

package responses

// The filter gives Envoy what an event has at once: nothing is drained, and what would
// be takes no room in the module.

type blocks struct{}

func (blocks) held() int { return 0 }

// Pieces are what is not in one piece: nothing is.
type Pieces [0][]byte

// Drain is nothing.
func (o *Output) Drain(func(dst []byte) []byte) {}

// Drains reports that nothing is drained.
func (o *Output) Drains() bool { return false }

func (o *Output) size() int { return len(o.items) }

func (o *Output) add(text []byte) { o.items = append(o.items, text...) }

func (o *Output) addLogprobs() { o.items = append(o.items, o.logprobs...) }

func (o *Output) text(from, to int) []byte { return o.items[from:to] }

// Items returns the finished items, rendered and separated by commas.
func (o *Output) Items() (items []byte, apart Pieces) { return o.items[:o.done], Pieces{} }

//go:noinline
func (o *Output) appendItems(dst []byte, before string, from, to int, after string) []byte {
	return appendRaw(dst, before, o.items[from:to], after)
}

func (o *Output) tell(dst, part []byte) []byte { return append(dst, part...) }

// Flush has nothing to drain.
func (o *Output) Flush(dst []byte) []byte { return dst }

// Drained reports whether something was.
func (o *Output) Drained() bool { return false }
