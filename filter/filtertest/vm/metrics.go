package vm

import "slices"

// The kinds of a metric; a metric's id holds its kind in its two lowest bits.
const (
	Counter   = 0
	Gauge     = 1
	Histogram = 2
)

// metrics are shared by all plugins of a VM and outlive it, as Envoy's do. A
// metric is known by its kind and name; defining it again gives a new id.
type metrics struct {
	values map[metricKey]*Metric
	byID   map[uint32]*Metric
}

type metricKey struct {
	kind uint32
	name string
}

// Metric is the state of a metric.
type Metric struct {
	kind    uint32
	Value   uint64   // a gauge's is two's complement
	Samples []uint64 // of a histogram, oldest first
}

// Metric gives a metric's state; its zero value if the module has not defined
// it.
func (w *Worker) Metric(kind uint32, name string) (value Metric) {
	w.Run(func() {
		if m := w.metrics.values[metricKey{kind, name}]; m != nil {
			value = *m
			value.Samples = slices.Clone(m.Samples)
		}
	})
	return value
}

// MetricNames gives the names of all metrics that the module has defined,
// sorted.
func (w *Worker) MetricNames() (names []string) {
	w.Run(func() {
		for key := range w.metrics.values {
			names = append(names, key.name)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func (m *metrics) define(kind uint32, name string) uint32 {
	if m.values == nil {
		m.values, m.byID = map[metricKey]*Metric{}, map[uint32]*Metric{}
	}
	key := metricKey{kind, name}
	if m.values[key] == nil {
		m.values[key] = &Metric{kind: kind}
	}
	id := uint32(len(m.byID)+1)<<2 | kind
	m.byID[id] = m.values[key]
	return id
}

func hostDefineMetric(c args) Status {
	kind := c.u32(0)
	if kind > Histogram {
		return BadArgument
	}
	return c.return32(3, c.v.w.metrics.define(kind, c.string(1)))
}

func hostIncrementMetric(c args) Status {
	m, offset := c.v.w.metrics.byID[c.u32(0)], int64(c.a[1])
	switch {
	case c.u32(0)&3 == Histogram:
		return BadArgument
	case m == nil:
		return NotFound
	case m.kind == Counter && offset <= 0:
		return BadArgument
	}
	m.Value += uint64(offset)
	return OK
}

func hostRecordMetric(c args) Status {
	m, value := c.v.w.metrics.byID[c.u32(0)], c.a[1]
	switch {
	case m == nil:
		return NotFound
	case m.kind == Counter:
		m.Value += value
	case m.kind == Gauge:
		m.Value = value
	default:
		m.Samples = append(m.Samples, value)
	}
	return OK
}

func hostGetMetric(c args) Status {
	m := c.v.w.metrics.byID[c.u32(0)]
	switch {
	case c.u32(0)&3 == Histogram:
		return BadArgument
	case m == nil:
		return NotFound
	}
	if !c.v.memory.WriteUint64Le(c.u32(1), m.Value) {
		return InvalidMemoryAccess
	}
	return OK
}
