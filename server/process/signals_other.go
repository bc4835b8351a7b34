//go:build !unix

package process

import "os"

var ignoredSignals []os.Signal
