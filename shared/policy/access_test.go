package policy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/corpus"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// The cases that the server and the filter run too. Paths, codings and bodies where none
// belongs are theirs.
func TestAccessCorpus(t *testing.T) {
	all, err := corpus.LoadAccess()
	require.NoError(t, err)
	cfg, err := config.LoadFilter(config.Sources{JSON: fmt.Appendf(nil, `{"engine":{"provider":"vllm-responses"},"filter":{"profile":"gated"},"auth":%s}`, all.Auth)})
	require.NoError(t, err)
	access := policy.NewAccess(cfg)
	for _, c := range all.Cases {
		if c.Status != 401 && (strings.HasSuffix(c.Target, "/cancel") || policy.Find(c.Target) == nil || c.Method != "POST" || c.Values("content-encoding") != nil) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			id, e := access.Identify(trimmed(c.Values("authorization")), trimmed(c.Values("x-api-key")),
				policy.Told{Subject: trimmed(c.Values("x-antwort-subject")), Tenant: trimmed(c.Values("x-antwort-tenant"))})
			if e == nil {
				e = allowsBody(id, &c)
			}
			if c.Status == 200 {
				require.Nil(t, e)
				require.Equal(t, [2]string{c.Subject, c.Tenant}, [2]string{id.Subject, id.Tenant})
				return
			}
			require.NotNil(t, e, "it was let in")
			require.Equal(t, []any{c.Status, c.Code, c.Param}, []any{e.Status, e.Code, e.Param}, e.Message)
			for _, field := range c.Header {
				if len(field[1]) > 12 && strings.Contains(field[0], "uthor") {
					require.NotContains(t, e.Message, field[1][8:], "the credential is in the message")
				}
			}
		})
	}
}

// allowsBody is how a forwarded body is decided about.
func allowsBody(id *policy.Identity, c *corpus.AccessCase) *responses.Error {
	if !id.Restricted() {
		return nil
	}
	if err := contentType(c); err != nil {
		return err
	}
	reading, err := policy.Read([]byte(c.Body), responses.Limits{})
	if err != nil {
		return err
	}
	return id.AllowsReading(reading)
}

// contentType is what is said to a case's type; one that names none has JSON.
func contentType(c *corpus.AccessCase) *responses.Error {
	given := trimmed(c.Values("content-type"))
	if given == nil {
		return nil
	}
	return policy.ContentType(given)
}

// trimmed are field values without the white space around them, as HTTP gives
// them.
func trimmed(values []string) []string {
	for i, v := range values {
		values[i] = strings.Trim(v, " \t")
	}
	return values
}

func keys(n int) (*policy.Access, []string) {
	cfg := config.Default()
	cfg.Auth.Type = config.APIKeyAuth
	var plain []string
	for i := range n {
		plain = append(plain, fmt.Sprintf("key-%04d-%s", i, strings.Repeat("x", 32)))
		cfg.Auth.APIKeys = append(cfg.Auth.APIKeys, config.APIKey{Digest: sha256.Sum256([]byte(plain[i])), Subject: fmt.Sprint("caller-", i)})
	}
	return policy.NewAccess(cfg), plain
}

func TestEveryKeyFindsItsCaller(t *testing.T) {
	access, plain := keys(100)
	for i, key := range plain {
		id, err := access.Identify([]string{"Bearer " + key}, nil, policy.Told{})
		require.Nil(t, err)
		require.Equal(t, fmt.Sprint("caller-", i), id.Subject)
	}
}

// What a comparison costs does not depend on how much of a key is right: all
// work is done on digests, over all keys, and what is allocated is the same.
func TestRefusingAKeyAllocatesTheSameForEveryPrefix(t *testing.T) {
	access, plain := keys(50)
	cost := func(key string) float64 {
		given := []string{"Bearer " + key}
		return testing.AllocsPerRun(20, func() { _, _ = access.Identify(given, nil, policy.Told{}) })
	}
	key := plain[0]
	require.LessOrEqual(t, cost(key), 1.0, "only the bytes to digest are allocated")
	wrong := cost(strings.Repeat("z", len(key)))
	for n := range key {
		require.Equal(t, wrong, cost(key[:n]+strings.Repeat("z", len(key)-n)), "%d bytes are right", n)
	}
}

// A key that was not resolved, and an empty list, let nobody in.
func TestNothingConfiguredLetsNobodyIn(t *testing.T) {
	cfg := config.Default()
	require.Nil(t, policy.NewAccess(cfg))
	for _, auth := range []config.Auth{
		{Type: config.APIKeyAuth},
		{Type: config.APIKeyAuth, APIKeys: []config.APIKey{{KeyEnv: "KEY", Subject: "a"}}},
		{Type: "something new"},
	} {
		cfg.Auth = auth
		access := policy.NewAccess(cfg)
		for _, given := range [][]string{nil, {""}, {"Bearer "}, {"Bearer x"}, {"Bearer " + string(make([]byte, 32))}} {
			_, err := access.Identify(given, nil, policy.Told{})
			require.NotNil(t, err)
			require.Equal(t, 401, err.Status)
		}
	}
}

// Whatever is sent: an identity only for a key.
func FuzzIdentify(f *testing.F) {
	access, plain := keys(3)
	f.Add("Bearer "+plain[0], "", true, false)
	f.Add("Bearer a", plain[1], true, true)
	f.Add("", "x", false, true)
	f.Fuzz(func(t *testing.T, authorization, apiKey string, hasAuthorization, hasAPIKey bool) {
		var a, k []string
		if hasAuthorization {
			a = []string{authorization}
		}
		if hasAPIKey {
			k = []string{apiKey}
		}
		id, err := access.Identify(a, k, policy.Told{})
		require.NotEqual(t, id == nil, err == nil, "an identity or an error")
		if id == nil {
			require.Equal(t, 401, err.Status)
			return
		}
		require.NotEqual(t, hasAuthorization, hasAPIKey)
		require.True(t, bytes.ContainsAny([]byte(authorization+apiKey), "x"), "only keys have it")
	})
}

func BenchmarkIdentify(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n, "keys"), func(b *testing.B) {
			access, plain := keys(n)
			given := []string{"Bearer " + plain[n/2]}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := access.Identify(given, nil, policy.Told{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
