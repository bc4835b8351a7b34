package filtertest

import "antwort/filter/filtertest/vm"

// Counter gives a counter's value; 0 if the filter has not defined it. The
// name is the filter's own, without the prefix "wasmcustom." of Envoy's stats.
func (h *Host) Counter(name string) uint64 { return h.w.Metric(vm.Counter, name).Value }

// Gauge gives a gauge's value; 0 if the filter has not defined it.
func (h *Host) Gauge(name string) int64 { return int64(h.w.Metric(vm.Gauge, name).Value) }

// Histogram gives what was recorded in a histogram, oldest first.
func (h *Host) Histogram(name string) []uint64 { return h.w.Metric(vm.Histogram, name).Samples }

// Metrics gives the names of all counters, gauges and histograms that the
// filter has defined, sorted.
func (h *Host) Metrics() []string { return h.w.MetricNames() }
