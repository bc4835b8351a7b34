package configfile

import (
	"errors"
	"time"

	"antwort/shared/config"
)

// settling is how long a changed configuration must stay as it is.
const settling = 100 * time.Millisecond

var errChanging = errors.New("the configuration changed while it was read: it is read again")

// Steady is load for who follows a configuration: what has changed is loaded once
// more a moment later, and refused when it is not the same. A file that is read
// while it is written may be half of one, and be valid: without the models of its
// last key, for example, which then may use all.
func Steady(load func() (*config.Config, error)) func() (*config.Config, error) {
	var last *config.Config
	return func() (*config.Config, error) {
		c, err := load()
		if err != nil || last != nil && c.Equal(last) {
			return c, err
		}
		time.Sleep(settling)
		again, err := load()
		if err != nil {
			return nil, err
		}
		if !again.Equal(c) {
			return nil, errChanging
		}
		last = again
		return again, nil
	}
}
