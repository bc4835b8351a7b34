package keeper

import (
	"antwort/server/state"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are about the store. No label tells an owner.
type metrics struct {
	operations *prometheus.CounterVec   // op, result
	seconds    *prometheus.HistogramVec // op
	swept      prometheus.Counter
}

// buckets reach from a look into memory to a store that does not answer, in seconds.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func newMetrics(k *Keeper, r prometheus.Registerer) *metrics {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "state_operations_total",
			Help: "Operations of the store of responses, by kind and result."}, []string{"op", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "state_seconds",
			Help: "Time of an operation of the store.", Buckets: buckets}, []string{"op"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{Name: "state_sweep_deleted_total",
			Help: "Responses removed because their conversation had expired."}),
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(m.operations, m.seconds, m.swept,
		gauge("state_bytes", "Bytes that are kept, as the store counts, within the last minute.", func() float64 { return float64(k.total().Bytes) }),
		gauge("state_responses", "Responses that are kept, within the last minute.", func() float64 { return float64(k.total().Responses) }),
		gauge("state_conversations", "Conversations that are kept, within the last minute.", func() float64 { return float64(k.total().Conversations) }),
		gauge("state_pool_in_use", "Connections to the store that are in use; 0 where it has none.", func() float64 { return float64(k.inUse()) }),
	)
	return m
}

// total is what all owners have together.
func (k *Keeper) total() (sum state.Used) {
	if usage := k.usage.Load(); usage != nil {
		for _, u := range *usage {
			sum.Responses += u.Responses
			sum.Conversations += u.Conversations
			sum.Bytes += u.Bytes
		}
	}
	return sum
}
