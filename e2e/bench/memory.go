package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// After how many requests memory is looked at.
var marks = [2]int{2_000, 20_000}

// growth prints what memory targets take when they have started and after many
// requests. It must come first, before they have done anything else.
func growth(targets []target, w workload) {
	fmt.Printf("\nmemory after small requests\n\n")
	fmt.Printf("| %-27s | %9s | %9s | %11s | %12s | %6s |\n", "", "start", "RSS then", "after 2,000", "after 20,000", "grown")
	fmt.Printf("|%s|%s:|%s:|%s:|%s:|%s:|\n", strings.Repeat("-", 29), strings.Repeat("-", 10), strings.Repeat("-", 10), strings.Repeat("-", 12), strings.Repeat("-", 13), strings.Repeat("-", 7))
	for _, t := range targets {
		sizes := []int64{rss(t.pids)}
		done := 0
		for _, mark := range marks {
			(&result{target: t}).attack(w, mark-done)
			done = mark
			sizes = append(sizes, rss(t.pids))
		}
		fmt.Printf("| %-27s | %9s | %5.0f MiB | %7.0f MiB | %8.0f MiB | %+4.1f %% |\n", t.name, t.start.Round(10*time.Millisecond),
			mib(sizes[0]), mib(sizes[1]), mib(sizes[2]), 100*float64(sizes[2]-sizes[1])/float64(sizes[1]))
	}
}

// distinct leaves out targets that are processes of one before.
func distinct(targets []target) (list []target) {
	for _, t := range targets {
		if !slices.ContainsFunc(list, func(before target) bool { return slices.Equal(before.pids, t.pids) }) {
			list = append(list, t)
		}
	}
	return list
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// heldStreams prints what a stream costs that has said something and then
// nothing, and the memory after everything.
func heldStreams(targets []target, streams int) error {
	fmt.Printf("\nheld streams (%d, one delta said, then silence) and memory\n\n", streams)
	fmt.Printf("| %-27s | %12s | %12s |\n|%s|%s:|%s:|\n", "", "per stream", "RSS after", strings.Repeat("-", 29), strings.Repeat("-", 13), strings.Repeat("-", 13))
	for _, t := range targets {
		cost, err := hold(t, streams)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		fmt.Printf("| %-27s | %8.1f KiB | %8.1f MiB |\n", t.name, float64(cost)/1024, mib(rss(t.pids)))
	}
	return nil
}

// hold opens n streams that say one word and then nothing, and returns the
// memory that each costs the target, in bytes.
func hold(t target, n int) (int64, error) {
	w := workload{text: "mock: tokens=2 delay=30s", stream: true}
	path, body := w.request(t)
	transport := &http.Transport{MaxConnsPerHost: 0}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	before := rss(t.pids)
	var wg sync.WaitGroup
	open := make([]io.Closer, n)
	errs := make(chan error, n)
	limit := make(chan struct{}, 64)
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			limit <- struct{}{}
			defer func() { <-limit }()
			resp, err := t.post(client, path, body) //nolint:bodyclose // it is held, and closed below
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %s", resp.Status)
			}
			if err == nil {
				var some [16]byte
				_, err = io.ReadFull(resp.Body, some[:])
			}
			if err != nil {
				errs <- err
				return
			}
			open[i] = resp.Body
		}()
	}
	wg.Wait()
	time.Sleep(2 * time.Second) // let the garbage of opening settle
	cost := (rss(t.pids) - before) / int64(n)
	for _, c := range open {
		if c != nil {
			c.Close()
		}
	}
	select {
	case err := <-errs:
		return 0, err
	default:
		return cost, nil
	}
}
