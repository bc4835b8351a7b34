//go:build !wasip1

package digest

import "crypto/sha256"

// Of is the digest of a text.
func Of(text string) [Size]byte { return sha256.Sum256([]byte(text)) }
