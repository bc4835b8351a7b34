package explain

import (
	"testing"

	"antwort/shared/config"
	"antwort/shared/corpus"
	"antwort/shared/translate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// Of every golden case the same comes as without a trail, and what is said of it is so: each
// target is there, and each field of the request is accounted for.
func TestGoldenCasesAreExplained(t *testing.T) {
	all, err := corpus.Load()
	require.NoError(t, err)
	require.Greater(t, len(all), 300)
	for _, c := range all {
		if c.Window {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			cfg, err := config.Parse(c.Config)
			require.NoError(t, err)
			cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, "http://127.0.0.1:8000"
			cfg.State.Type, cfg.Compaction.Enabled = config.NoState, false
			r := Request(&Question{Config: cfg, Body: c.Request})
			if c.Expected.Chat == nil {
				require.NotNil(t, r.Refusal)
				return
			}
			require.Nil(t, r.Refusal)
			assert.Equal(t, string(c.Expected.Chat), string(r.Chat))
			chat, body := parsed(r.Chat), parsed(c.Request)
			for _, f := range r.Fields {
				assert.NotEmpty(t, f.Fates, f.Field)
				assert.NotNil(t, at(body, f.Field), f.Field)
				for _, to := range f.To {
					assert.NotNil(t, at(chat, to), "%s went to %s", f.Field, to)
				}
				if f.To != nil {
					assert.True(t, f.Fates[0] == translate.Mapped || f.Fates[0] == translate.Passed, "%s: %v", f.Field, f)
				}
			}
			for _, a := range r.Added {
				assert.NotNil(t, at(chat, a.To), a.To)
			}
			for _, name := range names(body) {
				fates, _ := foundAt(r, name)
				assert.NotEmpty(t, fates, name)
			}
		})
	}
}

// names are those of a request's fields.
func names(body *fastjson.Value) (all []string) {
	body.GetObject().Visit(func(key []byte, _ *fastjson.Value) { all = append(all, string(key)) })
	return all
}
