package config

// Command is one of the commands that run by a configuration and follow its
// changes, or several of them.
type Command uint8

// The commands.
const (
	Serve Command = 1 << iota // antwort serve
	Envoy                     // antwort envoy
)
