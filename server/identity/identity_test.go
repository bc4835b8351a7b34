package identity

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"antwort/server/testkit"
	"antwort/shared/config"
	"antwort/shared/failure"

	"github.com/stretchr/testify/require"
)

// Who is let in, who is not, and what the log and the client are told.
func TestCallers(t *testing.T) {
	keys := func(c *config.Config) {
		c.Auth.Type = config.APIKeyAuth
		c.Auth.APIKeys = []config.APIKey{{Digest: sha256.Sum256([]byte("right")), Subject: "alice", Tenant: "a"}}
	}
	tokens := func(c *config.Config) {
		c.Auth.Type = config.JWTAuth
		c.Auth.JWT.Issuer, c.Auth.JWT.Audiences = "https://issuer.example", []string{"antwort"}
		c.Auth.JWT.JWKSURL = "http://" + testkit.Refused(t).String()
	}
	for name, test := range map[string]struct {
		auth       func(*config.Config)
		credential string
		subject    string
		failed     failure.Kind
		status     int
	}{
		"nobody is asked":                   {func(*config.Config) {}, "Bearer whatever", "", failure.None, 0},
		"a key":                             {keys, "Bearer right", "alice", failure.None, 0},
		"another key":                       {keys, "Bearer wrong", "", failure.Unauthorized, 401},
		"no key":                            {keys, "", "", failure.Unauthorized, 401},
		"no token":                          {tokens, "", "", failure.Unauthorized, 401},
		"a token while the issuer is away":  {tokens, "Bearer a.b.c", "", failure.AuthUnavailable, 503},
		"a scheme of which nobody is asked": {tokens, "Basic x", "", failure.Unauthorized, 401},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			test.auth(cfg)
			c, err := New(cfg, nil, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/v1/responses", nil)
			if test.credential != "" {
				r.Header.Set("Authorization", test.credential)
			}
			caller, f := c.Identify(r)
			if test.status == 0 {
				require.Nil(t, f)
				require.Equal(t, test.subject != "", caller != nil)
				if caller != nil {
					require.Equal(t, test.subject, caller.Subject)
				}
				return
			}
			require.Nil(t, caller)
			require.Equal(t, test.failed, f.Kind)
			require.Equal(t, test.status, f.Reply.Status)
			require.Equal(t, test.status == 401, len(f.Fields) == 1 && f.Fields[0][0] == "www-authenticate")
			require.Equal(t, cfg.Auth.Type != config.JWTAuth, c.Ready(), "without keys nobody can be told from others")
		})
	}
}

// The client's credential goes on only where nobody here asked for it, or it is
// said to.
func TestCredentialsThatGoOn(t *testing.T) {
	for _, test := range []struct {
		asked, forward, passes bool
	}{{false, false, true}, {true, false, false}, {true, true, true}} {
		cfg := config.Default()
		if test.asked {
			cfg.Auth.Type = config.APIKeyAuth
		}
		cfg.Auth.ForwardCredential = test.forward
		c, err := New(cfg, nil, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.Equal(t, test.passes, c.PassOn())
	}
}
