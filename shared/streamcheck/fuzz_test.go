package streamcheck

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
)

// FuzzChecker: no panic, a bounded number of problems, and the same ones
// however the bytes are split.
func FuzzChecker(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.sse")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(7))
	}
	f.Add([]byte("event: response.created\r\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[1,{}]}}\r\n\r\n"), byte(1))
	f.Add([]byte("data: {\"type\":\"response.output_item.done\",\"item\":{}}\n\ndata: [DONE]\n\n: x\n\n"), byte(3))
	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		whole := Check(bytes.NewReader(stream))
		if len(whole) > maxProblems {
			t.Fatalf("%d problems, expected at most %d", len(whole), maxProblems)
		}
		var c Checker
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), 1+int(step)%16)
			_, _ = c.Write(rest[:n])
			rest = rest[n:]
		}
		split := c.Close()
		if len(split) != len(whole) {
			t.Fatalf("expected the same problems in pieces of %d bytes:\n%v\n%v", 1+step%16, whole, split)
		}
		for i := range whole {
			if whole[i] != split[i] {
				t.Fatalf("expected the same problem in pieces of %d bytes:\n%v\n%v", 1+step%16, whole[i], split[i])
			}
		}
	})
}

// FuzzRaw: the raw text of every member and element means the same as what a
// parser finds there.
func FuzzRaw(f *testing.F) {
	for _, s := range []string{`{"a":[1, "x\"]}" ,{"b":null}],"c" : -1.5e3 }`, `[]`, `[ [ ] , {} ,true]`, `{"a":{"a":"\\"}}`, `"x"`, `{}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if len(doc) > 4<<10 || jsontext.Check([]byte(doc), jsontext.Limits{}) != nil {
			return
		}
		doc = strings.TrimSpace(doc)
		v, err := fastjson.Parse(doc)
		if err != nil {
			return
		}
		if elements := rawElements([]byte(doc)); v.Type() == fastjson.TypeArray {
			if len(elements) != len(v.GetArray()) {
				t.Fatalf("%s: expected %d elements, got %q", doc, len(v.GetArray()), elements)
			}
			for i, e := range elements {
				sameText(t, doc, e, v.GetArray()[i])
			}
		}
		if v.Type() == fastjson.TypeObject {
			n := 0
			o := v.GetObject()
			eachMember([]byte(doc), func(key string, value []byte) {
				n++
				if !strings.Contains(key, `\`) && len(rawMember([]byte(doc), key)) == len(value) {
					sameText(t, doc, rawMember([]byte(doc), key), o.Get(key))
				}
			})
			if n != o.Len() {
				t.Fatalf("%s: expected %d members, got %d", doc, o.Len(), n)
			}
		}
	})
}

func sameText(t *testing.T, doc string, raw []byte, v *fastjson.Value) {
	t.Helper()
	if want := jsontext.AppendValue(nil, v); !sameJSON(raw, want) {
		t.Fatalf("%s: expected %s, got %s", doc, want, raw)
	}
}
