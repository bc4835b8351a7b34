//go:build !antwort_panic

package filter

// forcePanic is for test builds, see panic_on.go.
func forcePanic(header, string) {}
