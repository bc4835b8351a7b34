package manifests

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// named finds an object of a list by its kind and name.
func named(t *testing.T, all []Object, name string) Object {
	t.Helper()
	for _, o := range all {
		if o.String() == name {
			return o
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// Each tier that antwort runs in has a budget that lets nodes be drained, and
// that is about its own pods.
func TestDisruptionBudgets(t *testing.T) {
	each(t, func(t *testing.T, _ string, all []Object) {
		for _, tier := range all {
			if name := tier.String(); name != "Deployment/antwort-backend" && name != "Deployment/antwort-frontend" {
				continue
			}
			if tier.at("spec", "strategy") == nil { // Istio makes the gateway's pods
				continue
			}
			budget := named(t, all, "PodDisruptionBudget/"+tier.text("metadata", "name"))
			assert.Equal(t, tier.at("spec", "selector"), budget.at("spec", "selector"), budget)
			assert.Equal(t, 1, budget.at("spec", "maxUnavailable"), "%s: with one replica a minimum would hold up every drain", budget)
			assert.Equal(t, "AlwaysAllow", budget.text("spec", "unhealthyPodEvictionPolicy"), budget)
		}
	})
}

// Whoever takes over the frontend reaches the backend and nothing else.
func TestFrontendCallsTheBackendOnly(t *testing.T) {
	for _, folder := range []string{"base", "openshift", "two-backends", "sqlite", "postgres", "owners"} {
		all, err := Build("quickstarts/06-responses-proxy/" + folder)
		require.NoError(t, err)
		policy := named(t, all, "NetworkPolicy/antwort-frontend")
		assert.Equal(t, named(t, all, "Deployment/antwort-frontend").at("spec", "selector", "matchLabels"), policy.at("spec", "podSelector", "matchLabels"))
		assert.Equal(t, []any{"Ingress", "Egress"}, policy.at("spec", "policyTypes"))
		assert.Equal(t, []any{map[string]any{"ports": []any{map[string]any{"port": "http"}}}}, policy.at("spec", "ingress"), "one port, for everybody")

		egress := policy.at("spec", "egress").([]any)
		require.Len(t, egress, 2)
		backend := Object(egress[0].(map[string]any))
		port := named(t, all, "Deployment/antwort-backend").at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)["ports"].([]any)[0].(map[string]any)["containerPort"]
		assert.Equal(t, []any{map[string]any{"port": port}}, backend["ports"])
		assert.Equal(t, []any{map[string]any{"podSelector": named(t, all, "Deployment/antwort-backend").at("spec", "selector")}}, backend["to"])
		for _, p := range egress[1].(map[string]any)["ports"].([]any) {
			assert.Contains(t, []any{53, 5353}, p.(map[string]any)["port"], "DNS")
		}
	}
}

// Two backends are on two nodes where there are, and neither keeps to itself what
// it keeps.
func TestTwoBackends(t *testing.T) {
	for _, folder := range []string{"two-backends", "postgres"} {
		all, err := Build("quickstarts/06-responses-proxy/" + folder)
		require.NoError(t, err)
		assert.Equal(t, 1, named(t, all, "Deployment/antwort-frontend").at("spec", "replicas"))
		backend := named(t, all, "Deployment/antwort-backend")
		assert.Equal(t, 2, backend.at("spec", "replicas"))
		spread := backend.at("spec", "template", "spec", "topologySpreadConstraints").([]any)
		require.Len(t, spread, 1)
		assert.Equal(t, backend.at("spec", "selector"), spread[0].(map[string]any)["labelSelector"])
	}
}
