package policy

import (
	"testing"

	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
)

func TestOwner(t *testing.T) {
	with := func(auth, scope string) *config.Config {
		c := config.Default()
		c.Auth.Type, c.Auth.JWT.Issuer, c.State.Scope = auth, "https://issuer", scope
		return c
	}
	key, jwt := with(config.APIKeyAuth, config.TenantScope), with(config.JWTAuth, config.TenantScope)
	subject := with(config.APIKeyAuth, config.SubjectScope)
	alice, bob := &Identity{Subject: "alice", Tenant: "a"}, &Identity{Subject: "bob", Tenant: "a"}
	alone, other := &Identity{Subject: "alice"}, &Identity{Subject: "a"}
	assert.Equal(t, Owner(key, alice), Owner(key, bob), "a tenant is one owner")
	assert.NotEqual(t, Owner(subject, alice), Owner(subject, bob), "subjects are, with scope subject")
	assert.Equal(t, Owner(key, nil), Owner(key, nil), "who is not asked is one owner")
	distinct := map[[16]byte]bool{}
	all := [][16]byte{
		Owner(key, alice), Owner(jwt, alice), Owner(key, alone), Owner(key, other), Owner(key, nil),
		Owner(subject, alice), Owner(subject, alone), Owner(subject, &Identity{Subject: "ice", Tenant: "al"}), Owner(subject, &Identity{Subject: "ce", Tenant: "ali"}),
	}
	for _, o := range all {
		distinct[o] = true
	}
	assert.Len(t, distinct, len(all))
}
