package explain

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/translate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// configured is the configuration of a text of JSON beside what it must have.
func configured(t testing.TB, text string) *config.Config {
	t.Helper()
	if text == "" {
		text = `{"engine":{"provider":"vllm","backend_url":"http://127.0.0.1:8000"},"state":{"type":"none"},"compaction":{"enabled":false}}`
	}
	cfg, err := config.Load(config.Sources{JSON: []byte(text), LookupEnv: func(string) (string, bool) { return "", false }})
	require.NoError(t, err)
	return cfg
}

// A claim is a row of FIELDS.md about requests.
type claim struct {
	line        int
	path, to    string
	fates       []string
	example     map[string]json.RawMessage
	exampleText string
}

func claims(t *testing.T) (all []claim) {
	for i, line := range strings.Split(translate.FieldsTable, "\n") {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 7 {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		c := claim{line: i + 1, path: cells[1], fates: strings.Split(cells[2], ", "), to: cells[3], exampleText: cells[4]}
		require.NoError(t, json.Unmarshal([]byte(cells[4]), &c.example), "FIELDS.md:%d", i+1)
		all = append(all, c)
	}
	require.Greater(t, len(all), 250)
	return all
}

// Every row's example is explained as the row claims.
func TestExplainAgreesWithFields(t *testing.T) {
	cfg := configured(t, "")
	for _, c := range claims(t) {
		t.Run(strconv.Itoa(c.line)+" "+c.path, func(t *testing.T) {
			request := map[string]json.RawMessage{"model": json.RawMessage(`"m"`), "input": json.RawMessage(`"hi"`)}
			for name, value := range c.example {
				request[name] = value
			}
			body, err := json.Marshal(request)
			require.NoError(t, err)
			r := Request(&Question{Config: cfg, Body: body})
			if slices.Contains(c.fates, "refused") {
				require.NotNil(t, r.Refusal, "FIELDS.md:%d: %s was not refused", c.line, c.exampleText)
				assert.Equal(t, c.to, r.Refusal.Param, "FIELDS.md:%d", c.line)
				assert.Equal(t, 400, r.Refusal.Status)
				require.NotEmpty(t, r.Fields)
				assert.Equal(t, c.to, r.Fields[0].Field, "the refused field is the first")
				assert.Equal(t, []translate.Fate{refused}, r.Fields[0].Fates)
				assert.Nil(t, r.Chat)
				return
			}
			require.Nil(t, r.Refusal, "FIELDS.md:%d", c.line)
			fates, to := foundAt(r, c.path)
			assert.ElementsMatch(t, c.fates, fates, "FIELDS.md:%d: %s", c.line, c.exampleText)
			if slices.Contains(c.fates, "mapped") || slices.Contains(c.fates, "passed") {
				assert.True(t, slices.ContainsFunc(to, func(path string) bool { return path == c.to || within(path, c.to) }),
					"FIELDS.md:%d: expected %s of %s, got %v", c.line, c.to, c.exampleText, to)
			} else {
				assert.Empty(t, to, "FIELDS.md:%d", c.line)
			}
		})
	}
}

// foundAt is what a report says of the field at a path: by itself, or by what is in it.
func foundAt(r *Report, path string) (fates, to []string) {
	for _, f := range r.Fields {
		if !within(f.Field, path) && !within(path, f.Field) {
			continue
		}
		for _, fate := range f.Fates {
			if !slices.Contains(fates, string(fate)) {
				fates = append(fates, string(fate))
			}
		}
		to = append(to, f.To...)
	}
	weaker := []string{"lossy", "read"}
	if slices.Contains(fates, "mapped") || slices.Contains(fates, "passed") {
		fates = slices.DeleteFunc(fates, func(f string) bool { return slices.Contains(weaker, f) })
	}
	return fates, to
}
