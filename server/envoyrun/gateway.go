package envoyrun

import (
	"log/slog"
	"path/filepath"
	"sync/atomic"

	"antwort/server/render/envoy"
	"antwort/shared/config"
)

// gateway is a running Envoy and what belongs to it.
type gateway struct {
	opt     Options
	log     *slog.Logger
	folder  string // of files and sockets, nobody else's
	inForce atomic.Pointer[plan]
	plans   int         // how many were made
	serving atomic.Bool // Envoy listens
	admin   *admin
	control *control
}

// Names within the folder; short, because a path of a socket has at most 107
// bytes.
const (
	moduleFile     = "filter.wasm"
	adminSocket    = "admin"
	controlSocket  = "control"
	upstreamSocket = "upstream"
)

func (g *gateway) path(name string) string { return filepath.Join(g.folder, name) }

// current is the configuration in force.
func (g *gateway) current() *plan { return g.inForce.Load() }

func (g *gateway) provider() string { return string(g.current().cfg.Engine.Provider) }

// plan is a configuration as Envoy is given it.
type plan struct {
	cfg        *config.Config
	options    envoy.Options
	files      map[string]envoy.File
	material   material          // what the configuration names files for
	generation int               // of the filter's VM
	variables  []config.Variable // of the filter's VM
}
