// Command bench measures the servers and the filter under load, in one run on
// one machine, as ratios to a plain reverse proxy: Go's httputil.ReverseProxy
// for the servers, Envoy without the filter for the filter.
//
//	bench [-antwort PATH] [-envoy PATH] [-scale N] [-only TEXT] [-workload TEXT]
//
// The load comes from vegeta, closed loop; CPU and memory are those of the
// measured processes, from /proc.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// The targets that others are compared to.
const (
	reference      = "ReverseProxy"
	envoyReference = "plain Envoy"
)

func main() {
	antwort := flag.String("antwort", "../bin/antwort", "the binary")
	envoy := flag.String("envoy", os.Getenv("ENVOY"), "an Envoy binary; without one the filter is not measured")
	scale := flag.Int("scale", 1, "multiplies the number of requests")
	streams := flag.Int("streams", 500, "streams held for the memory figure")
	only := flag.String("only", "", "measure only targets whose name contains this")
	load := flag.String("workload", "", "measure only workloads whose name contains this; none is fine, memory comes last")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *antwort, *envoy, *only, *load, *scale, *streams); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, antwort, envoy, only, load string, scale, streams int) error {
	antwort, err := filepath.Abs(antwort)
	if err != nil {
		return err
	}
	if _, err := os.Stat(antwort); err != nil {
		return fmt.Errorf("%s is missing: run make build", antwort)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxy := filepath.Join(dir, "reverseproxy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", proxy, "./bench/reverseproxy").CombinedOutput(); err != nil {
		return fmt.Errorf("build the reverse proxy: %w: %s", err, out)
	}
	if envoy != "" { // antwort envoy finds it there
		os.Setenv("ENVOY", envoy)
	}
	s := &stage{ctx: ctx, dir: dir, antwort: antwort}
	defer s.stop()
	fmt.Fprintln(os.Stderr, "bench: starting the targets …")
	targets, err := s.targets(proxy, envoy)
	if err != nil {
		return err
	}
	for _, w := range workloads(scale) {
		if !strings.Contains(w.name, load) {
			continue
		}
		if err := table(ctx, w, targets, only); err != nil {
			return err
		}
	}
	return memory(targets, only, streams)
}

// table measures all targets under one workload and prints a row for each.
func table(ctx context.Context, w workload, targets []target, only string) error {
	fmt.Printf("\n%s (%d requests, %d at a time)\n\n", w.name, w.count, workers)
	fmt.Printf("| %-27s | %8s | %8s | %8s | %11s | %11s | %-28s |\n", "", "req/s", "p50", "p99", "first event", "CPU/request", "CPU compared")
	fmt.Printf("|%s|%s:|%s:|%s:|%s:|%s:|%s|\n", strings.Repeat("-", 29), strings.Repeat("-", 9), strings.Repeat("-", 9), strings.Repeat("-", 9), strings.Repeat("-", 12), strings.Repeat("-", 12), strings.Repeat("-", 30))
	base := map[string]time.Duration{}
	for _, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !strings.Contains(t.name, only) && t.name != reference && t.name != envoyReference {
			continue
		}
		r := measure(t, w)
		base[t.name] = r.cpu
		first := ""
		if w.stream {
			first = r.toFirst.Round(10 * time.Microsecond).String()
		}
		fmt.Printf("| %-27s | %8.0f | %8s | %8s | %11s | %11s | %-28s |\n", t.name, r.rate, r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), first, r.cpu.Round(time.Microsecond), compared(t.name, r.cpu, base))
		if r.failed > 0 {
			fmt.Printf("%s: %d of %d requests failed: %s\n", t.name, r.failed, w.count, r.firstFailed)
		}
		if r.failed > w.count/100 {
			return fmt.Errorf("%s failed too often for its figures to mean anything", t.name)
		}
	}
	return nil
}

// compared says how much CPU a target took beside its reference.
func compared(name string, used time.Duration, base map[string]time.Duration) string {
	if name == "mock-llm alone" {
		return ""
	}
	to := reference
	if strings.Contains(name, "Envoy") {
		to = envoyReference
	}
	ref := base[to]
	if ref == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f × %s, %+d µs", float64(used)/float64(ref), to, (used - ref).Microseconds())
}

func memory(targets []target, only string, streams int) error {
	fmt.Printf("\nheld streams (%d, one delta said, then silence) and memory\n\n", streams)
	fmt.Printf("| %-27s | %12s | %12s | %9s |\n|%s|%s:|%s:|%s:|\n", "", "per stream", "RSS after", "start", strings.Repeat("-", 29), strings.Repeat("-", 13), strings.Repeat("-", 13), strings.Repeat("-", 10))
	for _, t := range targets {
		if !strings.Contains(t.name, only) && t.name != reference && t.name != envoyReference {
			continue
		}
		cost, err := hold(t, streams)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		fmt.Printf("| %-27s | %8.1f KiB | %8.1f MiB | %9s |\n", t.name, float64(cost)/1024, float64(rss(t.pids))/(1<<20), t.start.Round(time.Millisecond))
	}
	return nil
}
