// Package filter tests the filter, as it is shipped, in a real Envoy.
package filter
