package pgtest

import (
	"os"
	"sync"
	"testing"
)

// shared is the Postgres of all tests of a process.
var shared struct {
	sync.Mutex
	*Server
	ends []func()
}

// Shared is the Postgres of all tests that [Main] runs: the first who asks starts it.
// It is nil where there is none and none is required; each test takes a [Server.Schema].
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.Server != nil {
		return shared.Server
	}
	if find() == "" && os.Getenv("TEST_POSTGRES") != "required" {
		t.Log(absent)
		return nil
	}
	shared.Server = Start(lasting{t})
	return shared.Server
}

// Main runs the tests, ends what they share, and exits.
func Main(m *testing.M) {
	code := m.Run()
	for i := len(shared.ends) - 1; i >= 0; i-- {
		shared.ends[i]()
	}
	os.Exit(code)
}

// lasting is a test whose Postgres outlives it.
type lasting struct{ testing.TB }

func (lasting) Cleanup(end func()) { shared.ends = append(shared.ends, end) }
