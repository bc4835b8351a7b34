package translate_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"antwort/shared/sse"

	"github.com/stretchr/testify/require"
)

// openAPI are the schemas of the Open Responses specification.
func openAPI(t *testing.T) map[string]any {
	b, err := os.ReadFile("../../e2e/conformance/testdata/openresponses-2026-04-24.json")
	require.NoError(t, err)
	var doc any
	require.NoError(t, json.Unmarshal(b, &doc))
	schemas, ok := valueAt(doc, "components.schemas")
	require.True(t, ok)
	return schemas.(map[string]any)
}

// kindOf is how the tables name an object: its type, and its role if it is a
// message of a request.
func kindOf(typ, role any) string {
	kind, _ := typ.(string)
	if r, ok := role.(string); ok && kind == "message" {
		kind += " of " + r
	}
	return kind
}

func only(schema any, property string) any {
	values, _ := valueAt(schema, "properties."+property+".enum")
	if list, _ := values.([]any); len(list) == 1 {
		return list[0]
	}
	if anyOf, ok := valueAt(schema, "properties."+property+".anyOf[0].enum[0]"); ok {
		return anyOf
	}
	return nil
}

func properties(schema any) []string {
	p, _ := valueAt(schema, "properties")
	object, _ := p.(map[string]any)
	return slices.Sorted(maps.Keys(object))
}

// reachable are the names of the schemas that v refers to, directly or not.
func reachable(schemas map[string]any, v any, seen map[string]bool) map[string]bool {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if name := ref[strings.LastIndex(ref, "/")+1:]; !seen[name] {
				seen[name] = true
				reachable(schemas, schemas[name], seen)
			}
		}
		for _, member := range v {
			reachable(schemas, member, seen)
		}
	case []any:
		for _, element := range v {
			reachable(schemas, element, seen)
		}
	}
	return seen
}

// Every field, item, part, tool, tool_choice and include value that the
// OpenAPI file lets a request have has its row.
func TestFieldsOfTheSpecificationsRequests(t *testing.T) {
	requests, _ := tableRows(t)
	have := make(map[string]bool)
	for _, r := range requests {
		have[r.path] = true
		steps := step.FindAllString(r.path, -1)
		last := steps[len(steps)-1]
		parent, _ := valueAt(r.example, strings.Join(steps[:len(steps)-1], "."))
		if object, ok := parent.(map[string]any); ok {
			have[kindOf(object["type"], object["role"])+": "+last] = true
		}
		if value, ok := valueAt(r.example, r.path); ok {
			if s, ok := value.(string); ok {
				have[r.path+"="+s] = true
			}
		}
	}
	schemas := openAPI(t)
	var want []string
	want = append(want, properties(schemas["CreateResponseBody"])...)
	for name, prefix := range map[string]string{"TextParam": "text.", "ReasoningParam": "reasoning.", "StreamOptionsParam": "stream_options."} {
		for _, p := range properties(schemas[name]) {
			want = append(want, prefix+p)
		}
	}
	for name, path := range map[string]string{"IncludeEnum": "include[0]=", "ToolChoiceValueEnum": "tool_choice="} {
		values, _ := valueAt(schemas[name], "enum")
		for _, value := range values.([]any) {
			want = append(want, path+value.(string))
		}
	}
	for name := range reachable(schemas, schemas["CreateResponseBody"], make(map[string]bool)) {
		typ := only(schemas[name], "type")
		if typ == nil || name == "UrlCitationParam" { // a citation is a value of annotations
			continue
		}
		for _, p := range properties(schemas[name]) {
			want = append(want, kindOf(typ, only(schemas[name], "role"))+": "+p)
		}
	}
	require.Greater(t, len(want), 90)
	for _, w := range want {
		if !have[w] {
			t.Errorf("FIELDS.md has no row for %s of the OpenAPI file", w)
		}
	}
}

// Every member of a resource, item, part and event of the OpenAPI file has its
// row, and so has everything that the corpus' answers hold; what the table does
// not call never does occur in the corpus.
func TestFieldsOfAnswers(t *testing.T) {
	_, rows := tableRows(t)
	schemas := openAPI(t)
	var want []string
	want = append(want, properties(schemas["ResponseResource"])...)
	for _, name := range []string{"Usage", "InputTokensDetails", "OutputTokensDetails"} {
		prefix := map[string]string{"Usage": "usage.", "InputTokensDetails": "usage.input_tokens_details.", "OutputTokensDetails": "usage.output_tokens_details."}[name]
		for _, p := range properties(schemas[name]) {
			if !strings.HasSuffix(p, "_details") {
				want = append(want, prefix+p)
			}
		}
	}
	for name := range reachable(schemas, schemas["ItemField"], make(map[string]bool)) {
		typ, ok := only(schemas[name], "type").(string)
		if name == "LogProb" {
			typ, ok = "logprob", true
		}
		if !ok || typ == "url_citation" || rows[typ+".type"] == "never" {
			continue
		}
		for _, p := range properties(schemas[name]) {
			want = append(want, typ+"."+p)
		}
	}
	for name, schema := range schemas {
		event, ok := only(schema, "type").(string)
		if !ok || !strings.HasSuffix(name, "StreamingEvent") || rows[event] == "never" {
			continue
		}
		for _, p := range properties(schema) {
			if p != "type" && p != "sequence_number" {
				want = append(want, event+"."+p)
			}
		}
	}
	for _, w := range want {
		if !hasRow(rows, w) {
			t.Errorf("FIELDS.md has no row for %s of the OpenAPI file", w)
		}
	}
	seen := seenInTheCorpus(t)
	for path := range seen {
		if !hasRow(rows, path) || rows[path] == "never" {
			t.Errorf("FIELDS.md has no row for %s, which is in the corpus", path)
		}
	}
	for path, from := range rows {
		if from != "never" && !seen[path] {
			t.Errorf("FIELDS.md has a row for %s, which is not in the corpus", path)
		}
	}
}

func hasRow(rows map[string]string, path string) bool {
	_, ok := rows[path]
	return ok
}

// seenInTheCorpus are the paths of all that the expected answers hold, as the
// tables name them.
func seenInTheCorpus(t *testing.T) map[string]bool {
	seen := make(map[string]bool)
	see := func(prefix string, object any) {
		members, _ := object.(map[string]any)
		for name := range members {
			seen[prefix+name] = true
		}
	}
	resource := func(r any) {
		see("", r)
		for _, path := range []string{"usage", "usage.input_tokens_details", "usage.output_tokens_details"} {
			v, _ := valueAt(r, path)
			see(path+".", v)
		}
		for path := range seen { // named by their own rows
			if strings.HasPrefix(path, "usage.") && strings.HasSuffix(path, "_details") {
				delete(seen, path)
			}
		}
		output, _ := valueAt(r, "output")
		items, _ := output.([]any)
		for _, item := range items {
			typ, _ := valueAt(item, "type")
			see(typ.(string)+".", item)
			content, _ := valueAt(item, "content")
			parts, _ := content.([]any)
			summary, _ := valueAt(item, "summary")
			texts, _ := summary.([]any)
			for _, part := range append(parts, texts...) {
				kind, _ := valueAt(part, "type")
				see(kind.(string)+".", part)
				logprob, _ := valueAt(part, "logprobs[0]")
				see("logprob.", logprob)
			}
		}
	}
	for _, c := range cases(t) {
		if c.Expected.Response != nil {
			resource(decoded(t, c.Expected.Response))
		}
		f := sse.Framer{Max: 1 << 30}
		f.Write(c.Expected.Events)
		for ev, ok, _ := f.Next(); ok; ev, ok, _ = f.Next() {
			if bytes.Equal(ev.Data, []byte("[DONE]")) {
				continue
			}
			event := decoded(t, ev.Data)
			for name := range event {
				if name != "type" && name != "sequence_number" {
					seen[string(ev.Name)+"."+name] = true
				}
			}
			if r := event["response"]; r != nil {
				resource(r)
			}
		}
	}
	return seen
}

func decoded(t *testing.T, b []byte) (v map[string]any) {
	require.NoError(t, json.Unmarshal(b, &v))
	return v
}
