package controlplane

import (
	"testing"

	"istio.io/istio/pilot/pkg/xds/filters"
)

// The filter reads the claims that a RequestAuthentication has verified under
// this name of Envoy's dynamic metadata.
func TestIstioNotesClaimsAsPayload(t *testing.T) {
	if filters.EnvoyJwtFilterPayload != "payload" {
		t.Errorf("the claims are noted as %q: filter/token.go must say so too", filters.EnvoyJwtFilterPayload)
	}
}
