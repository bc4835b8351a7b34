// Command ratelimit is envoyproxy/ratelimit of its own modules: the service that counts
// for several Envoys, in a Redis. Its environment says all that it needs to know.
package main

import (
	"github.com/envoyproxy/ratelimit/src/service_cmd/runner"
	"github.com/envoyproxy/ratelimit/src/settings"
)

func main() {
	r := runner.NewRunner(settings.NewSettings())
	r.Run()
}
