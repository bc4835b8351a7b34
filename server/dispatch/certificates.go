package dispatch

import (
	"context"
	"time"
)

// certificatesInterval is how often the files of certificates are read again.
const certificatesInterval = time.Second

// FollowCertificates reads the files of certificates for backends again and
// again, until ctx ends. It returns at once. Wrong ones change nothing; what is
// wrong is logged once.
func (ps *Pools) FollowCertificates(ctx context.Context) {
	for _, p := range ps.all {
		for _, b := range p.backends {
			if b.client.HasFiles() {
				go p.followCertificates(ctx, b)
			}
		}
	}
}

func (p *Pool) followCertificates(ctx context.Context, b *Backend) {
	log := p.from.log.With("route", p.Name, "backend", b.URL)
	var refused string // problem that was logged last
	for sleep(ctx, certificatesInterval) {
		changed, err := b.client.Reload()
		switch {
		case err == nil && (changed || refused != ""):
			log.Info("the certificates for the backend in force")
			refused = ""
		case err != nil && err.Error() != refused:
			refused = err.Error()
			log.Error("the changed certificates for the backend are wrong, the old ones stay in force", "problem", refused)
		}
	}
}
