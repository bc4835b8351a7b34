//go:build antwort_panic

package filter

// forcePanic panics when the header x-antwort-panic names the place. It is in
// builds for tests only.
func forcePanic(h header, place string) {
	if h.get("x-antwort-panic") == place {
		panic("forced in " + place)
	}
}
