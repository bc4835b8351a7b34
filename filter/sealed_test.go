package filter_test

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"testing"

	"antwort/filter/filtertest"
	schema "antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

var sealedThought = regexp.MustCompile(`"encrypted_content":"([^"]*)"`)

// What the filter seals is, byte for byte, what the server seals with the same nonce,
// and each opens what the other sealed.
func TestThoughtsAreSealedAsNatively(t *testing.T) {
	const answer = `{"choices":[{"message":{"content":"Hi","reasoning":"They want \"é\" 😀."},"finish_reason":"stop"}]}`
	const chunks = `data: {"choices":[{"delta":{"reasoning":"They want \"é\" 😀."}}]}` + "\n\n" +
		`data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	env := func(name string) (string, bool) {
		return map[string]string{"STATE_KEY": key}[name], name == "STATE_KEY"
	}
	for _, profile := range profiles {
		json := []byte(`{"engine":{"provider":"vllm"},"filter":{"profile":"` + profile + `"},"state":{"keys":[{"id":"a","key_env":"STATE_KEY"}]}}`)
		cfg, err := schema.LoadFilter(schema.Sources{JSON: json, LookupEnv: env})
		require.NoError(t, err)
		h := startSplit(t, json, func(o *filtertest.Options) { o.Env = map[string]string{"STATE_KEY": key} })
		seen := map[string]bool{}
		for _, stream := range []string{"false", "true"} {
			if h.set(gives(200, "application/json", answer), 7); stream == "true" {
				h.set(streams(chunks), 7)
			}
			got := post(t, h.Host, `{"model":"m","input":"hi","include":["reasoning.encrypted_content"],"stream":`+stream+`}`)
			require.Equal(t, 200, got.status, got.body)
			found := sealedThought.FindStringSubmatch(got.body)
			require.NotNil(t, found, got.body)
			raw, err := base64.RawURLEncoding.DecodeString(found[1])
			require.NoError(t, err)
			require.Equal(t, byte(1), raw[0])
			nonce := raw[5 : 5+24]
			require.False(t, seen[string(nonce)], "a nonce comes once")
			seen[string(nonce)] = true

			options := translate.OptionsOf(cfg)
			options.Sealer = policy.Sealer(cfg, func(b []byte) { copy(b, nonce) })
			native := translate.New(options).For(policy.Owner(cfg, nil))
			_, turn, refused := native.Request(nil, []byte(`{"model":"m","input":"hi","include":["reasoning.encrypted_content"]}`), "x", 1)
			require.Nil(t, refused)
			resource, refused := turn.Response(nil, []byte(answer), 1)
			require.Nil(t, refused)
			require.Equal(t, found[1], sealedThought.FindStringSubmatch(string(resource))[1])

			back := `{"model":"m","input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[],"encrypted_content":"` + found[1] + `"},{"role":"assistant","content":"Hi"},{"role":"user","content":"go"}]}`
			chat, _, refused := native.Request(nil, []byte(back), "x", 1)
			require.Nil(t, refused)
			require.Contains(t, string(chat), `"reasoning":"They want \"é\" 😀."`)
			h.set(gives(200, "application/json", answer), 0)
			require.Equal(t, 200, post(t, h.Host, back).status)
			_, sent := h.up.last()
			require.Equal(t, string(chat), sent)
		}
		got := post(t, h.Host, `{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"AQAA"},{"role":"user","content":"go"}]}`)
		require.Contains(t, got.body, `"invalid_encrypted_content"`)
		require.Contains(t, got.body, `"input[0].encrypted_content"`)
		require.Equal(t, 400, got.status)
	}
}
