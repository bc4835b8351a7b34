package config

import "crypto/sha256"

// APIKey is one key that clients may use, and who they then are. The key itself
// is not kept, only its digest.
type APIKey struct {
	// SHA256, KeyFile and KeyEnv are how the key was given; exactly one is set.
	SHA256  string // 64 hexadecimal digits, lower case
	KeyFile string // file with the key in clear
	KeyEnv  string // environment variable with the key in clear

	Subject string   // who the caller is
	Tenant  string   // on whose behalf; may be empty
	Models  []string // names or patterns with *; empty: all models

	// Delegate says that the key is a gateway's, which tells with each request who
	// calls: Subject is the gateway's own name.
	Delegate bool

	// Digest is the SHA-256 of the key, whichever way it was given, after
	// ResolveSecrets.
	Digest [sha256.Size]byte
}
