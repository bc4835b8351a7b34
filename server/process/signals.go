// Package process is what antwort serve and antwort envoy have in common as
// programs that run for a long time: what signals ask for, the following of a
// changed configuration, and the metrics that are about the program itself.
//
//	signals ───────────────┐ asked
//	file, secrets ─ Load ─ Follow ─ Apply ─► in force, counted and logged
//
// It knows nothing of requests. What is in force, and how it is brought there,
// is its caller's.
package process

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals is what a process that serves was asked for from outside.
type Signals struct {
	End    context.Context // done: finish what runs, and end
	Cut    context.Context // done: end at once
	Reload <-chan struct{} // read the configuration again
}

// Catch takes the signals of the process until stop. SIGTERM, SIGINT, SIGQUIT and
// the end of parent ask for the end, a second signal of these for the end at
// once, as each of cuts does; SIGHUP asks for the configuration to be read again.
// Others whose default is to kill the process are without effect: a log that
// nobody reads any more (SIGPIPE) ends no stream.
func Catch(parent context.Context, cuts ...os.Signal) (s Signals, stop func()) {
	end, endNow := context.WithCancel(parent)
	cut, cutNow := context.WithCancel(context.Background())
	reload := make(chan struct{}, 1)
	ends, cutting, reloads := make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	ignored := make(chan os.Signal, 1) // never read
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Notify(reloads, syscall.SIGHUP)
	if len(cuts) > 0 {
		signal.Notify(cutting, cuts...)
	}
	if len(ignoredSignals) > 0 {
		signal.Notify(ignored, ignoredSignals...)
	}
	stopped := make(chan struct{})
	go func() {
		for asked := 0; ; {
			select {
			case <-stopped:
				return
			case <-ends:
				if asked++; asked > 1 {
					cutNow()
				}
				endNow()
			case <-cutting:
				endNow()
				cutNow()
			case <-reloads:
				select {
				case reload <- struct{}{}:
				default: // it is asked for already
				}
			}
		}
	}()
	return Signals{end, cut, reload}, func() {
		for _, c := range []chan os.Signal{ends, cutting, reloads, ignored} {
			signal.Stop(c)
		}
		close(stopped)
		endNow()
		cutNow()
	}
}
