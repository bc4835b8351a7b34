//go:build antwort_panic

package filter

// forcePanic panics when the header x-panic-in names the place. It is in
// builds for tests only.
func forcePanic(h header, place string) {
	if h.get("x-panic-in") == place {
		panic("forced in " + place)
	}
}
