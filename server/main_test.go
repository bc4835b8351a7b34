package server

import (
	"testing"

	"antwort/server/state/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
