// Command bench measures the servers and the filter under load, in one run on
// one machine, as ratios: of the servers to Go's httputil.ReverseProxy, of the
// filter and of antwort envoy to a plain Envoy, all with one worker.
//
//	bench [-antwort PATH] [-before PATH] [-envoy PATH] [-filter PATH,PATH] [-scale N]
//	      [-rounds N] [-at-once N] [-only TEXT,TEXT] [-workload TEXT,TEXT] [-log LEVEL]
//
// The load comes from vegeta, closed loop, in rounds in which the targets take
// turns; CPU and memory are those of the measured processes, from /proc. A
// second module of -filter is measured beside the first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"antwort/e2e/child"
)

// options are the command's flags.
type options struct {
	antwort, before, envoy, postgres, filters, only, load, log string
	scale, rounds, streams, atOnce                             int
}

func main() {
	var o options
	flag.StringVar(&o.antwort, "antwort", "../bin/antwort", "the binary")
	flag.StringVar(&o.before, "before", "", "an earlier binary, whose servers are measured beside those of -antwort")
	flag.StringVar(&o.envoy, "envoy", os.Getenv("ENVOY"), "an Envoy binary; without one the filter is not measured")
	flag.StringVar(&o.postgres, "postgres", "", "URL of a Postgres database that may be filled; without one storing there is not measured")
	flag.StringVar(&o.filters, "filter", "../bin/filter.wasm", "the filter; more of them, with commas, are measured beside it")
	flag.IntVar(&o.scale, "scale", 1, "multiplies the number of requests")
	flag.IntVar(&o.rounds, "rounds", 5, "how often the targets take turns")
	flag.IntVar(&o.atOnce, "at-once", 32, "requests at a time; with 1 latencies are those of a server that is not busy")
	flag.IntVar(&o.streams, "streams", 500, "streams held for the memory figure")
	flag.StringVar(&o.only, "only", "", "measure only targets whose name contains one of these, or is one with = in front, and what they are compared to")
	flag.StringVar(&o.load, "workload", "", "measure only workloads whose name contains one of these, or is one with = in front: small, 2 KB, 20 KB, 126 KB, stream of, paced, memory, held, flood")
	flag.StringVar(&o.log, "log", "info", "log level of antwort envoy; info, the default, writes a line for each request")
	flooding := flag.String("flood", "", "only flood this server, as the workload flood starts it beside itself")
	during := flag.Duration("during", time.Second, "how long -flood goes on")
	flag.Parse()
	if *flooding != "" {
		if err := flood(os.Stdout, *flooding, *during); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := child.Context()
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// texts splits what a flag lists.
func texts(list string) choice {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &stage{ctx: ctx, dir: dir, envoy: o.envoy, postgres: o.postgres, only: texts(o.only), log: o.log, floods: texts(o.load).has("flood")}
	for _, file := range append([]string{o.antwort}, texts(o.filters)...) {
		path, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing: run make build", path)
		}
		if s.antwort == "" {
			s.antwort = path
		} else {
			s.filters = append(s.filters, path)
		}
	}
	if o.before != "" {
		if s.before, err = filepath.Abs(o.before); err != nil {
			return err
		}
	}
	proxy := filepath.Join(dir, "reverseproxy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", proxy, "./bench/reverseproxy").CombinedOutput(); err != nil {
		return fmt.Errorf("build the reverse proxy: %w: %s", err, out)
	}
	if o.envoy != "" { // antwort envoy finds it there
		if err := os.Setenv("ENVOY", o.envoy); err != nil {
			return err
		}
	}
	defer s.stop()
	fmt.Fprintln(os.Stderr, "bench: starting the targets …")
	targets, err := s.targets(proxy)
	if err != nil {
		return err
	}
	if len(targets)+len(s.limited) == 0 {
		return errors.New("-only names no target; those of Envoy also need -envoy or ENVOY (make envoy)")
	}
	wanted, all := texts(o.load), workloads(o.scale, o.atOnce)
	if wanted.has("memory") && len(targets) > 0 {
		growth(distinct(targets), all[0])
	}
	for _, w := range all {
		if !wanted.has(w.name) || len(targets) == 0 {
			continue
		}
		if err := table(ctx, w, targets, o.rounds); err != nil {
			return err
		}
	}
	if wanted.has("held") && len(targets) > 0 {
		if err := heldStreams(distinct(targets), o.streams); err != nil {
			return err
		}
	}
	if wanted.has("flood") && len(s.limited) > 0 {
		return floods(ctx, s.limited, o.rounds, o.scale)
	}
	return nil
}

// table measures all targets under one workload and prints a row for each.
func table(ctx context.Context, w workload, targets []target, rounds int) error {
	results, err := measure(targets, w, rounds, ctx.Err)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s (%d requests, %d at a time)\n\n", w.name, w.count, w.atOnce)
	fmt.Printf("| %-27s | %8s | %8s | %8s | %11s | %11s | %-42s |\n", "", "req/s", "p50", "p99", "first event", "CPU/request", "CPU compared")
	fmt.Printf("|%s|%s:|%s:|%s:|%s:|%s:|%s|\n", strings.Repeat("-", 29), strings.Repeat("-", 9), strings.Repeat("-", 9), strings.Repeat("-", 9), strings.Repeat("-", 12), strings.Repeat("-", 12), strings.Repeat("-", 44))
	base := map[string]time.Duration{}
	for _, r := range results {
		used := r.cpuPerRequest()
		base[r.target.name] = used
		first := ""
		if w.stream {
			first = r.toFirst.Round(10 * time.Microsecond).String()
		}
		fmt.Printf("| %-27s | %8.0f | %8s | %8s | %11s | %11s | %-42s |\n", r.target.name, float64(r.metrics.Requests)/r.took.Seconds(),
			r.metrics.Latencies.P50.Round(10*time.Microsecond), r.metrics.Latencies.P99.Round(10*time.Microsecond),
			first, used.Round(time.Microsecond), compared(r.target.to, used, base))
		n, what := r.failures()
		if n > 0 {
			fmt.Printf("%s: %d of %d requests failed: %s\n", r.target.name, n, w.count, what)
		}
		if n > w.count/100 {
			return fmt.Errorf("%s failed too often for its figures to mean anything", r.target.name)
		}
	}
	return nil
}

// compared says how much CPU a target took beside the one it is compared to.
func compared(to string, used time.Duration, base map[string]time.Duration) string {
	ref := base[to]
	if ref == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f × %s, %+d µs", float64(used)/float64(ref), to, (used - ref).Microseconds())
}
