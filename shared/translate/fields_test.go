package translate_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// A fieldRow is a row of the request tables of FIELDS.md.
type fieldRow struct {
	line                     int
	path, fate, to, sentText string
	example                  map[string]any
}

// tableRows are the rows of FIELDS.md: those with an example, of requests, and
// the others, of answers, from path to where it comes from.
func tableRows(t *testing.T) (requests []fieldRow, answers map[string]string) {
	answers = make(map[string]string)
	b, err := os.ReadFile("FIELDS.md")
	require.NoError(t, err)
	for i, line := range strings.Split(string(b), "\n") {
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		switch {
		case !strings.HasPrefix(line, "| `"):
		case len(cells) == 4:
			require.Empty(t, answers[cells[1]], "FIELDS.md:%d: %s has a row already", i+1, cells[1])
			answers[cells[1]] = cells[2]
		default:
			require.Len(t, cells, 7, "FIELDS.md:%d: expected field, fate, where to, example, remark", i+1)
			r := fieldRow{line: i + 1, path: cells[1], fate: cells[2], to: cells[3], sentText: cells[4]}
			require.NoError(t, json.Unmarshal([]byte(cells[4]), &r.example), "FIELDS.md:%d", i+1)
			requests = append(requests, r)
		}
	}
	require.NotEmpty(t, requests)
	require.NotEmpty(t, answers)
	return requests, answers
}

// Every row's claim is carried out with its example.
func TestFieldsDoWhatTheTableSays(t *testing.T) {
	requests, _ := tableRows(t)
	for _, r := range requests {
		t.Run(strconv.Itoa(r.line)+" "+r.path, func(t *testing.T) {
			value, ok := valueAt(r.example, r.path)
			require.True(t, ok, "FIELDS.md:%d: the example has no %s", r.line, r.path)
			chat, resource, failed := translated(t, r.example)
			for _, fate := range strings.Split(r.fate, ", ") {
				if fate == "refused" {
					require.NotNil(t, failed, "FIELDS.md:%d: expected a refusal, %s was accepted", r.line, r.sentText)
					require.Equal(t, 400, failed.Status)
					require.Equal(t, r.to, failed.Param)
					continue
				}
				require.Nil(t, failed, "FIELDS.md:%d: expected %s, got a refusal", r.line, fate)
				to, there := valueAt(chat, r.to)
				without, _, refused := translated(t, remove(t, r.example, r.path))
				switch fate {
				case "mapped":
					require.True(t, there, "FIELDS.md:%d: expected %s in %v", r.line, r.to, chat)
					before, _ := valueAt(without, r.to)
					require.True(t, refused != nil || !jsonEqual(before, to), "FIELDS.md:%d: expected %s to change %s, it is %v all the same", r.line, r.path, r.to, to)
				case "passed":
					require.Equal(t, value, to, "FIELDS.md:%d", r.line)
				case "echoed":
					echo, _ := valueAt(resource, r.path)
					require.Equal(t, value, onlyMembersOf(value, echo), "FIELDS.md:%d: expected %s in the resource", r.line, r.path)
					if r.fate == "echoed" {
						require.Equal(t, without, chat, "FIELDS.md:%d: expected that %s changes nothing upstream", r.line, r.path)
					}
				case "lossy":
					require.Nil(t, refused)
					echo, _ := valueAt(resource, r.path)
					require.NotEqual(t, value, echo, "FIELDS.md:%d: expected that the resource does not show %s", r.line, r.path)
					require.Equal(t, without, chat, "FIELDS.md:%d: expected the same chat request with and without %s", r.line, r.path)
				case "read":
				default:
					t.Errorf("FIELDS.md:%d: unknown fate %q", r.line, fate)
				}
			}
		})
	}
}

// Every field that the code knows has its row.
func TestFieldsOfTheCode(t *testing.T) {
	requests, _ := tableRows(t)
	fates := make(map[string]string)
	for _, r := range requests {
		fates[r.path] = r.fate
	}
	for name, fate := range responses.Fields() {
		switch got := fates[name]; fate {
		case "read":
			require.NotContains(t, []string{"", "passed"}, got, "FIELDS.md: %s", name)
		default:
			require.Equal(t, fate, got, "FIELDS.md: %s", name)
		}
	}
}

func translated(t *testing.T, example map[string]any) (chat, resource map[string]any, failed *responses.Error) {
	request := map[string]any{"model": "m", "input": "hi"}
	for k, v := range example {
		request[k] = v
	}
	if request["input"] == nil {
		delete(request, "input")
	}
	body, err := json.Marshal(request)
	require.NoError(t, err)
	opt := benchOptions
	opt.DefaultModel = "default"
	out, turn, failed := translate.New(opt).Request(nil, body, corpus.ID, corpus.Created)
	if failed != nil {
		return nil, nil, failed
	}
	require.NoError(t, json.Unmarshal(out, &chat))
	answer, failed := turn.Response(nil, []byte(`{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}`), corpus.Ended)
	require.Nil(t, failed)
	require.NoError(t, json.Unmarshal(answer, &resource))
	return chat, resource, nil
}

var step = regexp.MustCompile(`[^.\[\]]+`)

// valueAt is the value at a path like input[0].content.
func valueAt(v any, path string) (any, bool) {
	for _, s := range step.FindAllString(path, -1) {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[s]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// remove is the example without what is at the path.
func remove(t *testing.T, example map[string]any, path string) map[string]any {
	b, err := json.Marshal(example)
	require.NoError(t, err)
	var clone map[string]any
	require.NoError(t, json.Unmarshal(b, &clone))
	steps := step.FindAllString(path, -1)
	last := steps[len(steps)-1]
	parent, _ := valueAt(clone, strings.Join(steps[:len(steps)-1], "."))
	if len(steps) == 1 {
		parent = clone
	}
	switch parent := parent.(type) {
	case map[string]any:
		delete(parent, last)
	case []any: // the first of them
		grand, _ := valueAt(clone, strings.Join(steps[:len(steps)-2], "."))
		if len(steps) == 2 {
			grand = clone
		}
		grand.(map[string]any)[steps[len(steps)-2]] = parent[1:]
	}
	return clone
}

// onlyMembersOf is the echo with those members of its objects that were sent:
// the resource shows defaults beside them.
func onlyMembersOf(sent, echo any) any {
	switch sent := sent.(type) {
	case map[string]any:
		in, ok := echo.(map[string]any)
		if !ok {
			return echo
		}
		out := make(map[string]any)
		for k, v := range sent {
			if e, ok := in[k]; ok {
				out[k] = onlyMembersOf(v, e)
			}
		}
		return out
	case []any:
		in, ok := echo.([]any)
		if !ok || len(in) != len(sent) {
			return echo
		}
		out := make([]any, len(in))
		for i := range in {
			out[i] = onlyMembersOf(sent[i], in[i])
		}
		return out
	}
	return echo
}

func jsonEqual(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return slices.Equal(x, y)
}
