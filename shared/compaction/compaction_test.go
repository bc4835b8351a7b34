package compaction

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"antwort/shared/jsontext"
)

// unsealed opens what is not sealed: the memory itself, escaped.
func unsealed(sealed []byte) ([]byte, bool) { return sealed, len(sealed) > 0 && sealed[0] == '{' }

// compactionOf is the item of a memory.
func compactionOf(m Memory) string {
	return `{"id":"cmp_1","type":"compaction","encrypted_content":` + string(jsontext.AppendString(nil, string(m.Append(nil)))) + `}`
}

func raws(items ...string) (all [][]byte) {
	for _, item := range items {
		all = append(all, []byte(item))
	}
	return all
}

func texted(items [][]byte) (all []string) {
	for _, raw := range items {
		all = append(all, string(raw))
	}
	return all
}

func user(text string) string      { return `{"role":"user","content":"` + text + `"}` }
func assistant(text string) string { return `{"role":"assistant","content":"` + text + `"}` }
func call(id string) string {
	return `{"type":"function_call","call_id":"` + id + `","name":"f","arguments":"{}"}`
}
func output(id string) string {
	return `{"type":"function_call_output","call_id":"` + id + `","output":"o"}`
}

func TestMemoryIsReadAsItWasWritten(t *testing.T) {
	m := Memory{Summary: "a \"b\"\n", Users: []string{"ü", ""}, Names: []string{"a/b"}, Calls: raws(call("c")), Tail: raws(user("t"), output("c"))}
	read, ok := Read(m.Append(nil))
	require.True(t, ok)
	require.Equal(t, m, read)
	for _, wrong := range []string{``, `{`, `{}`, `[]`, `{"summary":1}`} {
		_, ok := Read([]byte(wrong))
		require.False(t, ok, wrong)
	}
}

func TestMemoryStandsForWhatWas(t *testing.T) {
	m := Memory{Summary: "S", Users: []string{"u1", "u2"}, Names: []string{"a/b"}, Calls: raws(call("c1"), call("c2")), Tail: raws(output("c1"))}
	require.Equal(t, []string{
		`{"type":"message","role":"user","content":"Summary of the conversation so far: S\n\nAlso named in it:\n- a/b\n\nWhat the user said last in it, word for word:\n\nu1\n\nu2\n\nCalls of tools in it that have no output yet:\n` +
			strings.ReplaceAll(strings.ReplaceAll(call("c2"), `\`, `\\`), `"`, `\"`) + `"}`,
		call("c1"), output("c1"),
	}, texted(m.Items(nil)))
	require.Equal(t, []string{call("c1"), call("c2"), output("c1")}, texted(m.Items(raws(output("c2"))))[1:])
}

func TestGatherParts(t *testing.T) {
	talk := "[" + strings.Join([]string{user("one"), `{"type":"reasoning","summary":[]}`, call("c1"), output("c1"), call("open"), assistant("said"), user("two"), `{"type":"input_file"}`}, ",") + "]"
	c := Gather([]byte("["+user("zero")+"]"), []byte(talk), false, Memory{})
	require.Equal(t, []string{user("zero"), user("one"), call("c1"), output("c1"), assistant("said"), user("two"), `{"type":"input_file"}`}, texted(c.Items))
	require.Equal(t, []string{user("zero"), user("one"), user("two")}, texted(c.Messages))
	m := c.Memory("S")
	require.Equal(t, []string{"zero", "one", "two"}, m.Users)
	require.Equal(t, []string{call("open")}, texted(m.Calls))
	require.Empty(t, m.Tail)

	c = Gather(nil, []byte(talk), true, Memory{})
	require.Equal(t, []string{user("one"), call("c1"), output("c1"), assistant("said")}, texted(c.Items))
	m = c.Memory("S")
	require.Equal(t, []string{"one"}, m.Users)
	require.Equal(t, []string{user("two"), `{"type":"input_file"}`}, texted(m.Tail))

	c = Gather(nil, []byte(`"only \"this\""`), true, Memory{})
	require.Equal(t, []string{`{"type":"message","role":"user","content":"only \"this\""}`}, texted(c.Items))
	require.Equal(t, []string{`only "this"`}, c.Memory("S").Users)
}

func TestGatherGoesOnFromAMemory(t *testing.T) {
	before := Memory{Summary: "S1", Users: []string{"u0"}, Names: []string{"kept/name"}, Calls: raws(call("c")), Tail: raws(user("tail"))}
	c := Gather(nil, []byte("["+user("old")+","+compactionOf(Memory{Summary: "first"})+","+user("older")+","+compactionOf(before)+","+output("c")+","+user("new")+`,{"type":"compaction_trigger"}]`), false, before)
	items := texted(c.Items)
	require.Contains(t, items[0], "S1")
	require.NotContains(t, items[0], "u0")
	require.Equal(t, []string{call("c"), user("tail"), output("c"), user("new")}, items[1:])
	require.Equal(t, []string{user("old"), user("older"), user("new")}, texted(c.Messages))
	m := c.Memory("S2")
	require.Equal(t, []string{"u0", "tail", "new"}, m.Users)
	require.Equal(t, []string{"kept/name"}, m.Names)
	require.Empty(t, m.Calls)
}

func TestLastWordsAreBounded(t *testing.T) {
	long := strings.Repeat("é", usersBytes)
	c := Gather(nil, []byte("["+user("a")+","+user(long)+"]"), false, Memory{})
	users := c.Memory("").Users
	require.Len(t, users, 1)
	require.LessOrEqual(t, len(users[0]), usersBytes+8)
	require.Contains(t, users[0], " … ")
	c = Gather(nil, []byte("["+user(long)+","+user("b")+","+user("c")+"]"), false, Memory{})
	require.Equal(t, []string{"b", "c"}, c.Memory("").Users)
}

func TestNamesAreFound(t *testing.T) {
	said := `look at ./src/a-b.go and /etc/hosts, (main.py) or https://h.example/x?y; ids 0f3b9c2d17, ABC-1234, call_9x, 12345 and v1.2.3; not 1234, plain-words, e.g. or word.`
	items := raws(user(said), `{"type":"function_call","call_id":"c","name":"f","arguments":"{\"path\":\"deep\\/er.txt\",\"line\":\"x\\ny/z.c\"}"}`,
		`{"type":"function_call_output","output":[{"type":"input_text","text":"in/part"}]}`)
	m := Memory{Summary: "knows main.py"}
	require.Equal(t, []string{"./src/a-b.go", "/etc/hosts", "https://h.example/x?y", "0f3b9c2d17", "ABC-1234", "call_9x", "12345", "v1.2.3"}, namesIn(items[:1], nil, &m))
	require.Subset(t, namesIn(items, []string{"earlier/one"}, &m), []string{"earlier/one", "/er.txt", "in/part"})
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("file_%d.go", i))
	}
	names := namesIn(raws(user(strings.Join(many, " "))), nil, &m)
	require.Equal(t, "file_1999.go", names[len(names)-1])
	require.LessOrEqual(t, len(strings.Join(names, "")), namesBytes)
}

// Of a long conversation its end is looked at, wherever that begins.
func TestTheEndOfLongTextsIsLookedAt(t *testing.T) {
	for name, one := range map[string]string{"backslashes": `\\`, "a backslash and a u": `\\u1`, "umlauts": `\u00fc`, "pairs": `\ud83d\ude00`, "characters": "ü", "letters": "x", "words": "x "} {
		for more := range 13 {
			long := strings.Repeat(one, 400_000/len(one)) + strings.Repeat("y", more)
			raw := raws(`{"type":"message","role":"user","content":"` + long + `"}`)
			names := namesIn(raw, nil, &Memory{})
			require.Empty(t, names, name)
			names = namesIn(append(raw, raws(user("see a/b.go"))...), nil, &Memory{})
			require.Equal(t, []string{"a/b.go"}, names, name)
			c := Gather(nil, []byte(`[{"type":"message","role":"user","content":[{"type":"input_text","text":"begin"},{"type":"input_text","text":"`+long+`"},{"type":"input_text","text":"end"}]}]`), false, Memory{})
			users := c.Memory("").Users
			require.Len(t, users, 1)
			require.True(t, utf8.ValidString(users[0]), name)
			require.LessOrEqual(t, len(users[0]), usersBytes+8)
			require.True(t, strings.HasPrefix(users[0], "begin\n"), name)
			require.True(t, strings.HasSuffix(users[0], strings.Repeat("y", more)+"\nend"), name)
		}
	}
}

func TestCutKeepsCallsTogether(t *testing.T) {
	require.Equal(t, 0, Cut(raws(user("a"))))
	require.Equal(t, 0, Cut(raws(call("c"), user("x"), output("c"))))
	require.Equal(t, 2, Cut(raws(call("c"), output("c"), call("d"), output("d"))))
	require.Equal(t, 1, Cut(raws(user("a"), call("c"), output("c"), user("b"))))
}

func TestRequestForASummary(t *testing.T) {
	got := AppendRequest(nil, []byte(`{"stream":true,"model":"m","input":"x","instructions":"i","tools":[],"chat_template_kwargs":{"a":1}}`), "B", raws(user("a")), "sum \"up\"", []byte("99"))
	require.Equal(t, `{"model":"m","instructions":"i","chat_template_kwargs":{"a":1},"store":false,"temperature":0,"max_output_tokens":99,"input":[`+
		`{"type":"message","role":"user","content":"Summary of the conversation so far: B"},`+user("a")+`,{"type":"message","role":"user","content":"sum \"up\""}]}`, string(got))
	require.Nil(t, jsontext.Check(got, jsontext.Limits{}))
}

func TestEstimate(t *testing.T) {
	require.EqualValues(t, 10, Estimate([]byte(strings.Repeat("x", 40))))
	require.EqualValues(t, 1024+8, Estimate([]byte(`{"url":"data:image/png;base64,`+strings.Repeat("A", 4000)+`"}`+strings.Repeat("x", 19))))
	require.EqualValues(t, 1024+3, Estimate([]byte(`{"url":"data:`)))
}

func TestExpand(t *testing.T) {
	memory := compactionOf(Memory{Summary: "S", Calls: raws(call("c"))})
	stands := `{"type":"message","role":"user","content":"Summary of the conversation so far: S"}`
	for name, c := range map[string]struct{ body, past, want, wantPast string }{
		"nothing": {`{"input":"x","a":1}`, `[` + user("p") + `]`, `{"input":"x","a":1}`, `[` + user("p") + `]`},
		"in the input": {`{"a":1,"input":[` + user("old") + `,` + memory + `,` + output("c") + `],"b":2}`, `[` + user("p") + `]`,
			`{"a":1,"input":[` + stands + `,` + call("c") + `,` + output("c") + `],"b":2}`, ``},
		"two":                              {`{"input":[` + compactionOf(Memory{Summary: "first"}) + `,` + memory + `,` + output("c") + `]}`, ``, `{"input":[` + stands + `,` + call("c") + `,` + output("c") + `]}`, ``},
		"what is not needed is not opened": {`{"input":[{"type":"compaction","encrypted_content":"x"},` + memory + `,` + output("c") + `]}`, ``, `{"input":[` + stands + `,` + call("c") + `,` + output("c") + `]}`, ``},
		"in the past":                      {`{"input":[` + output("c") + `]}`, `[` + memory + `,` + user("p") + `]`, `{"input":[` + output("c") + `]}`, `[` + stands + `,` + call("c") + `,` + user("p") + `]`},
		"a trigger":                        {`{"input":[` + user("a") + `, {"type":"compaction_trigger"}]}`, ``, `{"input":[` + user("a") + `]}`, ``},
		"managed":                          {`{"input":"x", "context_management":[{"type":"compaction","compact_threshold":7}] ,"b":1}`, ``, `{"input":"x" ,"b":1}`, ``},
		"managed first": {`{ "context_management":[{"type":"compaction","compact_threshold":7}], "input":[` + memory + `,` + output("c") + `],"b":1}`, ``,
			`{ "input":[` + stands + `,` + call("c") + `,` + output("c") + `],"b":1}`, ``},
		"managed alone": {`{"context_management":[]}`, ``, `{}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ReadAsk([]byte(c.body))
			require.Nil(t, err)
			x, err := a.Expand([]byte(c.past), "previous_response_id", unsealed)
			require.Nil(t, err)
			require.Equal(t, c.want, string(x.Body))
			require.Equal(t, c.wantPast, string(x.Past))
			require.Nil(t, jsontext.Check(x.Body, jsontext.Limits{}))
		})
	}
	for body, param := range map[string]string{
		`{"input":[` + user("a") + `,{"type":"compaction","encrypted_content":"x"}]}`: "input[1]", `{"input":[{"type":"compaction"}]}`: "input[0]",
	} {
		a, err := ReadAsk([]byte(body))
		require.Nil(t, err)
		_, err = a.Expand(nil, "previous_response_id", unsealed)
		require.Equal(t, []string{param, "invalid_encrypted_content"}, []string{err.Param, err.Code})
	}
	a, err := ReadAsk([]byte(`{"input":"x"}`))
	require.Nil(t, err)
	_, err = a.Expand([]byte(`[{"type":"compaction","encrypted_content":"x"}]`), "conversation", unsealed)
	require.Equal(t, "conversation", err.Param)
	_, err = a.Expand([]byte(`["compaction"]`), "conversation", unsealed)
	require.Nil(t, err)
}

func TestErrorsNameTheInputThatCame(t *testing.T) {
	a, err := ReadAsk([]byte(`{"input":[` + user("1") + `,` + user("2") + `,` + compactionOf(Memory{Summary: "S", Tail: raws(user("t"))}) + `,{"type":"x"}]}`))
	require.Nil(t, err)
	x, err := a.Expand(nil, "", unsealed)
	require.Nil(t, err)
	for said, want := range map[string]string{"input[2].type": "input[3].type", "input[1]": "input[2]", "input[0]": "input[2]", "tools[0]": "tools[0]", "input": "input"} {
		e := (&Expansion{path: x.path, items: x.items}).Restore(invalid(said, "", "wrong"))
		require.Equal(t, []string{want, want + ": wrong"}, []string{e.Param, e.Message})
	}
}

func FuzzAsk(f *testing.F) {
	f.Add([]byte(`{"context_management":[{"type":"compaction","compact_threshold":7}],"input":[` + compactionOf(Memory{Summary: "S", Calls: raws(call("c"))}) + `,` + output("c") + `,{"type":"compaction_trigger"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if jsontext.Check(body, jsontext.Limits{}) != nil {
			return
		}
		a, err := ReadAsk(body)
		if err != nil {
			return
		}
		x, err := a.Expand(nil, "", unsealed)
		if err != nil {
			return
		}
		if jsontext.Check(x.Body, jsontext.Limits{}) != nil {
			t.Fatalf("%s became %s", body, x.Body)
		}
		c := Gather(nil, a.Input(), true, x.Memory)
		m := c.Memory("S")
		if read, ok := Read(m.Append(nil)); !ok || len(read.Tail) != len(m.Tail) {
			t.Fatalf("the memory of %s is none", body)
		}
	})
}

func TestConcerns(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `"`: false, `c`: false, `compaction`: false, `"compactio`: false, `"Compaction"`: false, `"context_management`: false, `"context_managements"`: false,
		`"compaction`: true, `[{"type":"compaction_trigger"}]`: true, `{"c":"cc","context_management":[]}`: true, `c"c"compaction`: true, `"ccompaction" "compaction"`: true,
	} {
		require.Equal(t, want, Concerns([]byte(text)), text)
	}
}
