package process

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"antwort/shared/config"
)

// interval is how often the configuration is read again. Reading it takes well
// under a millisecond, and sees every way of changing a file and the files of
// secrets: editors, renames, and the links of a mounted ConfigMap.
const interval = time.Second

// Follower brings a changed configuration in force while a process runs.
type Follower struct {
	Load    func() (*config.Config, error) // reads everything again; its error tells the user where the mistake is
	Current func() *config.Config          // the configuration in force
	// Stays reports whether the files that a configuration names, but Load does
	// not read, are those in force. Nil: there are none.
	Stays func(*config.Config) bool
	// Apply brings a configuration in force. When it returns an error nothing has
	// changed.
	Apply   func(context.Context, *config.Config) error
	Asked   <-chan struct{} // read it again now; nil: nobody asks
	Command config.Command  // that is running
	Log     *slog.Logger
	Reloads *Reloads
}

// Follow applies the configuration whenever it has changed, until ctx ends. A
// wrong one changes nothing; what is wrong with it is logged once, and again when
// somebody asks.
func (f *Follower) Follow(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	began := f.Current()
	var problem string // that was logged last
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-f.Asked:
			asked, problem = true, ""
			f.Log.Info("the configuration is read again, a signal asks for it")
		}
		cfg, changed, err := f.settled(ctx)
		if err == nil && changed {
			err = f.Apply(ctx, cfg)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errChanging):
			f.Log.Debug(err.Error() + ": it is read again")
		case err != nil:
			if err.Error() != problem {
				problem = err.Error()
				f.Reloads.refused.Inc()
				f.Log.Error("the changed configuration is wrong, the old one stays in force", "problem", problem)
			}
		case changed:
			problem = ""
			f.Reloads.applied.Inc()
			f.announce(began, cfg)
		case problem != "":
			problem = ""
			f.Log.Info("the configuration is again the one in force")
		case asked:
			f.Log.Info("the configuration is the one in force")
		}
	}
}

// announce logs that cfg is in force, and what of it is not yet: keys that this
// process has read at its start only.
func (f *Follower) announce(began, cfg *config.Config) {
	about := []any{"provider", string(cfg.Engine.Provider), "backend_url", cfg.Engine.BackendURL, "routes", len(cfg.Routes)}
	if keys := began.RestartKeys(cfg, f.Command); len(keys) > 0 {
		f.Log.Warn("the changed configuration is in force, but for keys that need a restart", append(about, "restart", strings.Join(keys, ", "))...)
		return
	}
	f.Log.Info("the changed configuration is in force", about...)
}

func (f *Follower) inForce(cfg *config.Config) bool {
	return cfg.Equal(f.Current()) && (f.Stays == nil || f.Stays(cfg))
}
