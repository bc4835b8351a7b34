package filtertest

import "slices"

// The kinds of a metric; a metric's id holds its kind in its two lowest bits.
const (
	kindCounter   = 0
	kindGauge     = 1
	kindHistogram = 2
)

// metrics are shared by all plugins of a VM and outlive it, as Envoy's do. A
// metric is known by its kind and name; defining it again gives a new id.
type metrics struct {
	values map[metricKey]*metric
	byID   map[uint32]*metric
}

type metricKey struct {
	kind uint32
	name string
}

type metric struct {
	kind    uint32
	value   uint64   // a gauge's is two's complement
	samples []uint64 // of a histogram
}

func (m *metrics) define(kind uint32, name string) uint32 {
	if m.values == nil {
		m.values, m.byID = map[metricKey]*metric{}, map[uint32]*metric{}
	}
	key := metricKey{kind, name}
	if m.values[key] == nil {
		m.values[key] = &metric{kind: kind}
	}
	id := uint32(len(m.byID)+1)<<2 | kind
	m.byID[id] = m.values[key]
	return id
}

func hostDefineMetric(c args) status {
	kind := c.u32(0)
	if kind > kindHistogram {
		return statusBadArgument
	}
	return c.return32(3, c.v.w.metrics.define(kind, c.string(1)))
}

func hostIncrementMetric(c args) status {
	m, offset := c.v.w.metrics.byID[c.u32(0)], int64(c.a[1])
	switch {
	case c.u32(0)&3 == kindHistogram:
		return statusBadArgument
	case m == nil:
		return statusNotFound
	case m.kind == kindCounter && offset <= 0:
		return statusBadArgument
	}
	m.value += uint64(offset)
	return statusOK
}

func hostRecordMetric(c args) status {
	m, value := c.v.w.metrics.byID[c.u32(0)], c.a[1]
	switch {
	case m == nil:
		return statusNotFound
	case m.kind == kindCounter:
		m.value += value
	case m.kind == kindGauge:
		m.value = value
	default:
		m.samples = append(m.samples, value)
	}
	return statusOK
}

func hostGetMetric(c args) status {
	m := c.v.w.metrics.byID[c.u32(0)]
	switch {
	case c.u32(0)&3 == kindHistogram:
		return statusBadArgument
	case m == nil:
		return statusNotFound
	}
	if !c.v.memory.WriteUint64Le(c.u32(1), m.value) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}

func (h *Host) metric(kind uint32, name string) (value metric) {
	h.w.run(func() {
		if m := h.w.metrics.values[metricKey{kind, name}]; m != nil {
			value = *m
			value.samples = slices.Clone(m.samples)
		}
	})
	return value
}

// Counter gives a counter's value; 0 if the filter has not defined it. The
// name is the filter's own, without the prefix "wasmcustom." of Envoy's stats.
func (h *Host) Counter(name string) uint64 { return h.metric(kindCounter, name).value }

// Gauge gives a gauge's value; 0 if the filter has not defined it.
func (h *Host) Gauge(name string) int64 { return int64(h.metric(kindGauge, name).value) }

// Histogram gives what was recorded in a histogram, oldest first.
func (h *Host) Histogram(name string) []uint64 { return h.metric(kindHistogram, name).samples }

// Metrics gives the names of all counters, gauges and histograms that the
// filter has defined, sorted.
func (h *Host) Metrics() (names []string) {
	h.w.run(func() {
		for key := range h.w.metrics.values {
			names = append(names, key.name)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}
