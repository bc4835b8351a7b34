package token

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestTokensOfEveryAlgorithm(t *testing.T) {
	v, _ := withFile(t, jwk(rsaKey(), "rsa", ""), jwk(ecKey(), "p256", ""), jwk(ec384Key(), "p384", "ES384"), jwk(ec521Key(), "p521", ""), jwk(edKey(), "ed", "EdDSA"))
	for alg, key := range map[jose.SignatureAlgorithm]struct {
		id      string
		private any
	}{
		jose.RS256: {"rsa", rsaKey()}, jose.RS384: {"rsa", rsaKey()}, jose.RS512: {"rsa", rsaKey()},
		jose.PS256: {"rsa", rsaKey()}, jose.PS384: {"rsa", rsaKey()}, jose.PS512: {"rsa", rsaKey()},
		jose.ES256: {"p256", ecKey()}, jose.ES384: {"p384", ec384Key()}, jose.ES512: {"p521", ec521Key()}, jose.EdDSA: {"ed", edKey()},
	} {
		for _, header := range []map[string]any{{"kid": key.id}, nil} {
			caller, refused, _ := v.Identify(t.Context(), bearer(sign(alg, key.private, header, claims(nil))), nil)
			require.Nil(t, refused, "%s %v: %v", alg, header, refused)
			require.Equal(t, [2]string{"alice", "team-a"}, [2]string{caller.Subject, caller.Tenant})
		}
	}
}

func TestTokensThatAreBelieved(t *testing.T) {
	v, _ := withFile(t, jwk(ecKey(), "k", "ES256"))
	for name, test := range map[string]struct {
		claims  map[string]any
		subject string
		tenant  string
	}{
		"for several services":        {claims(map[string]any{"aud": []string{"x", "others"}}), "alice", "team-a"},
		"without a tenant":            {claims(map[string]any{"org": nil}), "alice", ""},
		"with an empty tenant":        {claims(map[string]any{"org": ""}), "alice", ""},
		"without a time of its issue": {claims(map[string]any{"iat": nil}), "alice", "team-a"},
		"expired within the skew":     {claims(map[string]any{"exp": fixedTime.Add(-59 * time.Second).Unix()}), "alice", "team-a"},
		"valid within the skew":       {claims(map[string]any{"nbf": fixedTime.Add(59 * time.Second).Unix(), "iat": fixedTime.Add(59 * time.Second).Unix()}), "alice", "team-a"},
		"with times as fractions":     {claims(map[string]any{"exp": float64(fixedTime.Unix()) + 30.5}), "alice", "team-a"},
		"with claims of any kind":     {claims(map[string]any{"roles": []any{1, map[string]any{"a": nil}}}), "alice", "team-a"},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(jose.ES256, ecKey(), map[string]any{"kid": "k"}, test.claims)
			for range 2 { // the second time it is remembered
				caller, refused, _ := v.Identify(t.Context(), bearer(token), nil)
				require.Nil(t, refused)
				require.Equal(t, [2]string{test.subject, test.tenant}, [2]string{caller.Subject, caller.Tenant})
			}
		})
	}
}

func TestTokensThatAreNotBelieved(t *testing.T) {
	// What a header points to must never be asked.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was fetched", r.URL) }))
	defer elsewhere.Close()
	v, _ := withFile(t, jwk(rsaKey(), "rsa", "RS256"), jwk(ecKey(), "p256", ""), jwk(edKey(), "", ""))

	kid := func(id string) map[string]any { return map[string]any{"kid": id} }
	at := func(d time.Duration) int64 { return fixedTime.Add(d).Unix() }
	payload := string(must(json.Marshal(claims(nil))))
	good := sign(jose.RS256, rsaKey(), kid("rsa"), claims(nil))
	parts := strings.Split(good, ".")
	public := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	hs256 := func(secret []byte) func(string) []byte {
		return func(input string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return mac.Sum(nil)
		}
	}
	nothing := func(string) []byte { return nil }
	rs256 := func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		return must(rsaKey().Sign(rand.Reader, sum[:], crypto.SHA256))
	}
	changed := func(claim string, value any) string {
		return sign(jose.RS256, rsaKey(), kid("rsa"), claims(map[string]any{claim: value}))
	}
	text := func(payload string) string { return sign(jose.RS256, rsaKey(), kid("rsa"), payload) }
	embedded := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: otherEC()}, &jose.SignerOptions{EmbedJWK: true}))

	const signature, unknown, alg, form = "signature is wrong", "a key that the issuer does not have", "algorithms that are allowed", "not a signed token"
	for name, test := range map[string]struct{ token, why string }{
		"unsigned":                        {forge(`{"alg":"none","typ":"JWT"}`, payload, nothing), alg},
		"unsigned in another case":        {forge(`{"alg":"nOnE"}`, payload, nothing), alg},
		"unsigned with a key id":          {forge(`{"alg":"none","kid":"rsa"}`, payload, nothing), alg},
		"without an algorithm":            {forge(`{"kid":"rsa"}`, payload, rs256), alg},
		"of an algorithm in lower case":   {forge(`{"alg":"rs256","kid":"rsa"}`, payload, rs256), alg},
		"of an algorithm that is a list":  {forge(`{"alg":["RS256"],"kid":"rsa"}`, payload, rs256), alg},
		"of two algorithms":               {forge(`{"alg":"none","alg":"RS256","kid":"rsa"}`, payload, rs256), form},
		"HS256 with the public key, DER":  {forge(`{"alg":"HS256","kid":"rsa"}`, payload, hs256(public)), alg},
		"HS256 with the public key, PEM":  {forge(`{"alg":"HS256","kid":"rsa"}`, payload, hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))), alg},
		"HS256 with the modulus":          {forge(`{"alg":"HS256","kid":"rsa"}`, payload, hs256(rsaKey().N.Bytes())), alg},
		"HS256 with nothing":              {forge(`{"alg":"HS256"}`, payload, hs256(nil)), alg},
		"RS384, which the key is not for": {sign(jose.RS384, rsaKey(), kid("rsa"), claims(nil)), signature},
		"PS256, which the key is not for": {sign(jose.PS256, rsaKey(), kid("rsa"), claims(nil)), signature},
		"ES256 with the id of an RSA key": {sign(jose.ES256, ecKey(), kid("rsa"), claims(nil)), signature},
		"EdDSA with the id of an EC key":  {sign(jose.EdDSA, edKey(), kid("p256"), claims(nil)), signature},
		"ES384 for a P-256 key":           {sign(jose.ES384, ec384Key(), kid("p256"), claims(nil)), signature},
		"of somebody else's key":          {sign(jose.RS256, otherRSA(), kid("rsa"), claims(nil)), signature},
		"of somebody else's unnamed key":  {sign(jose.RS256, otherRSA(), nil, claims(nil)), signature},
		"of an unknown key id":            {sign(jose.RS256, rsaKey(), kid("new"), claims(nil)), unknown},
		"of a key id that is a path":      {sign(jose.RS256, rsaKey(), kid("../../../../dev/null"), claims(nil)), unknown},
		"of a key id that is a query":     {sign(jose.RS256, rsaKey(), kid("x' UNION SELECT 'key"), claims(nil)), unknown},
		"of a key id that is a URL":       {sign(jose.RS256, rsaKey(), kid(elsewhere.URL), claims(nil)), unknown},
		"of a key id in another case":     {sign(jose.RS256, rsaKey(), kid("RSA"), claims(nil)), unknown},
		"of a key id that is a number":    {forge(`{"alg":"RS256","kid":1}`, payload, rs256), form},
		"with its key in its header":      {must(must(embedded.Sign([]byte(payload))).CompactSerialize()), signature},
		"with the address of its key":     {sign(jose.RS256, otherRSA(), map[string]any{"jku": elsewhere.URL, "x5u": elsewhere.URL, "kid": "mine"}, claims(nil)), unknown},
		"with an address and no key id":   {sign(jose.RS256, otherRSA(), map[string]any{"jku": elsewhere.URL, "x5u": elsewhere.URL}, claims(nil)), signature},
		"with something critical":         {forge(`{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}`, payload, rs256), "header has crit"},
		"with an unencoded payload":       {forge(`{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":false}`, payload, rs256), "header has "},
		"with an empty crit":              {forge(`{"alg":"RS256","kid":"rsa","crit":[]}`, payload, rs256), "header has crit"},
		"encrypted":                       {"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "is encrypted"},
		"of two parts":                    {parts[0] + "." + parts[1], form},
		"of one part":                     {"sk-1234567890", form},
		"of four parts":                   {good + ".", form},
		"of dots":                         {"..", alg},
		"of many dots":                    {strings.Repeat(".", 8000), form},
		"as JSON":                         {`{"payload":"e30","signatures":[]}`, form},
		"without its signature":           {parts[0] + "." + parts[1] + ".", signature},
		"truncated":                       {good[:len(good)-8], signature},
		"with another payload":            {parts[0] + "." + base64url([]byte(strings.Replace(payload, "alice", "root", 1))) + "." + parts[2], signature},
		"with another header":             {base64url([]byte(`{"alg":"RS256","kid":"rsa","x":1}`)) + "." + parts[1] + "." + parts[2], signature},
		"with padding":                    {parts[0] + "=." + parts[1] + "." + parts[2], form},
		"with other digits":               {strings.ReplaceAll(parts[0]+"."+parts[1], "_", "/") + "+." + parts[2], form},
		"with a header of null":           {forge(`null`, payload, rs256), ""},
		"with a header that is a list":    {forge(`[]`, payload, rs256), form},

		"of another issuer":              {changed("iss", "https://issuer.example.evil"), "(iss)"},
		"of an issuer with a slash more": {changed("iss", "https://issuer.example/"), "(iss)"},
		"of no issuer":                   {changed("iss", nil), "(iss)"},
		"of a list of issuers":           {changed("iss", []string{"https://issuer.example"}), "claims"},
		"for another service":            {changed("aud", "antwort2"), "(aud)"},
		"for nobody":                     {changed("aud", nil), "(aud)"},
		"for an empty list":              {changed("aud", []string{}), "(aud)"},
		"for a list that is text":        {changed("aud", "antwort others"), "(aud)"},
		"for an object":                  {changed("aud", map[string]any{"antwort": true}), "claims"},
		"for a number among others":      {changed("aud", []any{"antwort", 1}), "claims"},
		"expired":                        {changed("exp", at(-61*time.Second)), "(exp)"},
		"that never expires":             {changed("exp", nil), "no claim exp"},
		"that expires as a text":         {changed("exp", fmt.Sprint(at(time.Hour))), "claims"},
		"that expires at null":           {text(strings.Replace(payload, fmt.Sprint(at(time.Hour)), "null", 1)), "no claim exp"},
		"that expires beyond all time":   {text(strings.Replace(payload, fmt.Sprint(at(time.Hour)), "1e300", 1)), "claims"},
		"that expired before all time":   {changed("exp", -1), "(exp)"},
		"not yet valid":                  {changed("nbf", at(61*time.Second)), "(nbf)"},
		"issued in the future":           {changed("iat", at(61*time.Second)), "(iat)"},
		"of nobody":                      {changed("sub", nil), "no claim sub"},
		"of an empty subject":            {changed("sub", ""), "no claim sub"},
		"of a number":                    {changed("sub", 7), "claims"},
		"of null":                        {text(strings.Replace(payload, `"alice"`, "null", 1)), "claim sub"},
		"of a subject with a line":       {changed("sub", "alice\r\nx-antwort-tenant: root"), "claim sub"},
		"of a subject beyond ASCII":      {changed("sub", "älice"), "claim sub"},
		"of a subject of any length":     {changed("sub", strings.Repeat("a", 1000)), "claim sub"},
		"of a tenant that is a list":     {changed("org", []string{"team-a"}), "claim org"},
		"of a tenant with a blank":       {changed("org", "team a"), "claim org"},
		"with a subject twice":           {text(strings.Replace(payload, "{", `{"sub":"root",`, 1)), "claims"},
		"with a tenant twice":            {text(strings.Replace(payload, "{", `{"org":"root",`, 1)), "claims"},
		"with a claim in another case":   {text(strings.Replace(payload, `"sub"`, `"Sub"`, 1)), "no claim sub"},
		"with text after its claims":     {text(payload + "{}"), "claims"},
		"with claims that are a list":    {text("[" + payload + "]"), "claims"},
		"with claims of null":            {text("null"), "no claim exp"},
		"with no claims":                 {text(""), "claims"},
		"with claims that are no JSON":   {text("{alice}"), "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a refusal is not forgotten the second time
				caller, refused, cause := v.Identify(t.Context(), bearer(test.token), nil)
				require.Nil(t, caller, "it was let in")
				require.Equal(t, []any{401, "invalid_token"}, []any{refused.Status, refused.Code}, refused.Message)
				require.Contains(t, refused.Message, test.why)
				require.NoError(t, cause)
				require.NotContains(t, refused.Message, "evil")
			}
		})
	}
}

// Only asymmetric public keys of a sufficient size are used, whatever a set has.
func TestKeysThatAreNotUsed(t *testing.T) {
	private := must(jose.JSONWebKey{Key: ecKey(), KeyID: "private"}.MarshalJSON())
	for name, member := range map[string]any{
		"a secret":                   map[string]any{"kty": "oct", "k": base64url([]byte("secret")), "kid": "k"},
		"a secret with an algorithm": map[string]any{"kty": "oct", "k": base64url([]byte("secret")), "alg": "RS256"},
		"a private key":              json.RawMessage(private),
		"a short RSA key":            jwk(shortRSA(), "short", ""),
		"a key for encryption":       map[string]any{"kty": "RSA", "n": jwk(rsaKey(), "", "")["n"], "e": "AQAB", "use": "enc"},
		"a key for HMAC":             jwk(rsaKey(), "k", "HS256"),
		"a key for no algorithm":     jwk(rsaKey(), "k", "none"),
		"an EC key for RSA":          jwk(ecKey(), "k", "RS256"),
		"a P-256 key for ES384":      jwk(ecKey(), "k", "ES384"),
		"a key of an unknown type":   map[string]any{"kty": "XYZ"},
		"a point beside the curve":   map[string]any{"kty": "EC", "crv": "P-256", "x": base64url(make([]byte, 32)), "y": base64url(make([]byte, 32))},
		"something else":             7,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parseKeySet(keySetOf(member))
			require.ErrorContains(t, err, "it has no key that tokens can be verified with: keys[0]: ")
			set, skipped, err := parseKeySet(keySetOf(member, jwk(edKey(), "ed", "")))
			require.NoError(t, err, "the others are used")
			require.Len(t, set.keys, 1)
			require.Len(t, skipped, 1)
		})
	}
}

func TestRememberedTokens(t *testing.T) {
	v, clock := withFile(t, jwk(ecKey(), "k", ""))
	token := sign(jose.ES256, ecKey(), nil, claims(map[string]any{"exp": fixedTime.Add(time.Minute).Unix()}))
	d := sha256.Sum256([]byte(token))
	identify := func() bool { caller, _, _ := v.Identify(t.Context(), bearer(token), nil); return caller != nil }
	remembered := func() bool { return v.cache.get(d, v.keys.current(), clock.now()) != nil }

	require.False(t, remembered())
	require.True(t, identify())
	require.True(t, remembered())
	clock.pass(time.Minute)
	require.False(t, remembered(), "it is verified again from its expiry on")
	require.True(t, identify(), "the skew is not over")
	clock.pass(time.Minute + time.Second)
	require.False(t, identify())

	for i := range maxCached + 10 {
		v.cache.put(sha256.Sum256([]byte{byte(i), byte(i >> 8)}), v.keys.current(), nil, clock.now().Add(time.Hour))
	}
	require.Equal(t, maxCached, v.cache.byUse.Len())
	require.Len(t, v.cache.all, maxCached)
}

// Whatever is sent: an identity only for a token of the issuer.
func FuzzIdentify(f *testing.F) {
	v, _ := withFile(f, jwk(ecKey(), "k", ""), jwk(edKey(), "", ""))
	good := sign(jose.ES256, ecKey(), map[string]any{"kid": "k"}, claims(nil))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(forge(`{"alg":"none"}`, `{"sub":"root"}`, func(string) []byte { return nil }))
	f.Add("a.b.c.d.e")
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		caller, refused, _ := v.Identify(t.Context(), bearer(token), nil)
		require.NotEqual(t, caller == nil, refused == nil, "an identity or an error")
		if caller != nil {
			require.Equal(t, "alice", caller.Subject)
			return
		}
		require.Contains(t, []int{401, 503}, refused.Status)
	})
}

// FuzzKeySet: whatever an issuer serves, keys or an error.
func FuzzKeySet(f *testing.F) {
	f.Add(keySetOf(jwk(ecKey(), "k", ""), jwk(rsaKey(), "r", "RS256"), 7))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		set, _, err := parseKeySet(document)
		require.Equal(t, err == nil, set != nil)
		if err == nil {
			require.NotEmpty(t, set.keys)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	v, _ := withFile(b, jwk(rsaKey(), "rsa", ""), jwk(ecKey(), "p256", ""))
	for name, token := range map[string]string{
		"RS256": sign(jose.RS256, rsaKey(), map[string]any{"kid": "rsa"}, claims(nil)),
		"ES256": sign(jose.ES256, ecKey(), map[string]any{"kid": "p256"}, claims(map[string]any{"groups": strings.Repeat("group,", 100)})),
	} {
		given := bearer(token)
		b.Run(name+"/remembered", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, refused, _ := v.Identify(b.Context(), given, nil); refused != nil {
					b.Fatal(refused.Message)
				}
			}
		})
		b.Run(name+"/new", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(v.cache.all)
				v.cache.byUse.Init()
				if _, refused, _ := v.Identify(b.Context(), given, nil); refused != nil {
					b.Fatal(refused.Message)
				}
			}
		})
	}
}
