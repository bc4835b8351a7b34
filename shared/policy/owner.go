package policy

import (
	"crypto/sha256"
	"strconv"

	"antwort/shared/config"
)

// Owner is to whom belongs what a caller leaves here: the caller's tenant, or its
// subject where it has none or state.scope says so. It is a digest, different for
// each issuer of identities. caller is nil where nobody is asked: all are one.
func Owner(c *config.Config, caller *Identity) [16]byte {
	parts := [4]string{c.State.Scope}
	if caller != nil {
		parts[1] = "key"
		if c.Auth.Type == config.JWTAuth {
			parts[1] = "jwt " + c.Auth.JWT.Issuer
		}
		if parts[2] = caller.Tenant; parts[2] == "" || c.State.Scope == config.SubjectScope {
			parts[3] = caller.Subject
		}
	}
	var text []byte
	for _, part := range parts {
		text = strconv.AppendInt(text, int64(len(part)), 10)
		text = append(append(text, ':'), part...)
	}
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// SealsFor is the Owner to whom belongs what is sealed for a caller: nobody, at no cost,
// where there is no key to seal with.
func SealsFor(c *config.Config, caller *Identity) (owner [16]byte) {
	if c.SealsState() {
		owner = Owner(c, caller)
	}
	return owner
}
