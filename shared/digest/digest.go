// Package digest computes SHA-256 (FIPS 180-4). Native programs take
// crypto/sha256; the filter has the few lines of sum.go instead of the 160 KB
// of Go's FIPS module, which every start of an Envoy would compile. Both give
// the same, and a test and a fuzz target hold them together.
package digest

// Size of a digest, in bytes.
const Size = 32
