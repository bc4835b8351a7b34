package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

// trustGauges are about what goes out of date by itself: the server's
// certificate, and the keys of the tokens' issuer.
type trustGauges struct {
	server              *Server
	certificate, issuer *prometheus.Desc
}

func newTrustGauges(s *Server) *trustGauges {
	return &trustGauges{s,
		prometheus.NewDesc("certificate_expiry_seconds", "When the server's certificate expires, in seconds since 1970.", nil, nil),
		prometheus.NewDesc("issuer_keys_age_seconds", "Time since the keys of the tokens' issuer were fetched.", nil, nil),
	}
}

func (g *trustGauges) Describe(out chan<- *prometheus.Desc) {
	out <- g.certificate
	out <- g.issuer
}

func (g *trustGauges) Collect(out chan<- prometheus.Metric) {
	if at, has := g.server.certificate.Expires(); has {
		out <- prometheus.MustNewConstMetric(g.certificate, prometheus.GaugeValue, float64(at.Unix()))
	}
	if s := g.server.inForce.Load(); s != nil && s.tokens != nil {
		if age, had := s.tokens.KeysAge(); had {
			out <- prometheus.MustNewConstMetric(g.issuer, prometheus.GaugeValue, age.Seconds())
		}
	}
}
