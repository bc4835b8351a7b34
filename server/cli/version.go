package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is the release this binary was built from. The build sets it with
// -ldflags "-X antwort/server/cli.Version=v1.2.3"; without that, the module
// version or the commit that Go recorded stands in.
var Version string

type versionCmd struct{}

func (versionCmd) Help() string {
	return "Example:\n\n    antwort version"
}

func (versionCmd) Run(io *streams) error {
	_, err := fmt.Fprintf(io.Out, "antwort %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func version() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "development build"
}
