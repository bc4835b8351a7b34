package translate_test

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/thought"
	"antwort/shared/translate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	oldKey, newKey = bytes.Repeat([]byte{1}, seal.KeySize), bytes.Repeat([]byte{2}, seal.KeySize)
	alice, bob     = [16]byte{1}, [16]byte{2}
	sealedThought  = regexp.MustCompile(`"encrypted_content":"([^"]*)"`)
)

const said = `They want \"é\" 😀.\nLook.`

func sealing(keys ...[]byte) *translate.Translator {
	opt := benchOptions
	if keys != nil {
		opt.Sealer = seal.New(keys, func(nonce []byte) { copy(nonce, "a nonce of twenty-four b") })
	}
	return translate.New(opt)
}

// thinks is the answer to a request that wants copies of thoughts.
func thinks(t *testing.T, tr translate.Owned, stream bool) string {
	_, turn, err := tr.Request(nil, fmt.Appendf(nil, `{"model":"m","input":"hi","include":["reasoning.encrypted_content"],"stream":%v}`, stream), corpus.ID, corpus.Created)
	require.Nil(t, err)
	if !stream {
		out, err := turn.Response(nil, []byte(`{"choices":[{"message":{"content":"Hi","reasoning":"`+said+`"},"finish_reason":"stop"}]}`), corpus.Ended)
		require.Nil(t, err)
		return string(out)
	}
	out, err := corpus.Stream(nil, turn.Stream(),
		[]byte(`data: {"choices":[{"delta":{"reasoning":"They want \"é\" "}}]}`+"\n\n"), []byte(`data: {"choices":[{"delta":{"reasoning":"😀.\nLook."}}]}`+"\n\n"),
		[]byte(`data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n"))
	require.Nil(t, err)
	return string(out)
}

// thinking is a request with a reasoning item that has these members.
func thinking(members string) []byte {
	return []byte(`{"model":"m","input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[]` + members + `},{"role":"assistant","content":"Hi"},{"role":"user","content":"go"}]}`)
}

func encrypted(copied string) string { return `,"encrypted_content":"` + copied + `"` }

func TestThoughtsAreSealed(t *testing.T) {
	whole, streamed := thinks(t, sealing(newKey).For(alice), false), thinks(t, sealing(newKey).For(alice), true)
	found := sealedThought.FindStringSubmatch(whole)
	require.NotNil(t, found)
	assert.Regexp(t, "^A[Q-Za-f]", found[1], "version 1")
	all := sealedThought.FindAllStringSubmatch(streamed, -1)
	require.Len(t, all, 2, "in output_item.done and in the resource")
	for _, m := range all {
		assert.Equal(t, found[1], m[1], "whole and streamed are the same with the same nonce")
	}
	for name, keys := range map[string][][]byte{"the key": {newKey}, "another replica, whose first key is a newer one": {oldKey, newKey}} {
		chat, _, err := sealing(keys...).For(alice).Request(nil, thinking(encrypted(found[1])), corpus.ID, corpus.Created)
		require.Nil(t, err, name)
		assert.Contains(t, string(chat), `"reasoning":"`+said+`"`, name)
	}
}

func TestWhatDoesNotOpenIsRefused(t *testing.T) {
	good := sealedThought.FindStringSubmatch(thinks(t, sealing(newKey).For(alice), false))[1]
	for name, c := range map[string]struct {
		tr     translate.Owned
		sealed string
	}{
		"of another tenant":       {sealing(newKey).For(bob), good},
		"with a key that is gone": {sealing(oldKey).For(alice), good},
		"changed":                 {sealing(newKey).For(alice), good[:50] + "A" + good[51:]},
		"cut":                     {sealing(newKey).For(alice), good[:60]},
		"of another maker":        {sealing(newKey).For(alice), "gAAAAABm-base64-of-fernet_"},
	} {
		refused := func(param string, err *responses.Error) {
			require.NotNil(t, err, name)
			assert.Equal(t, [3]any{400, "invalid_encrypted_content", param}, [3]any{err.Status, err.Code, err.Param}, name)
			assert.NotContains(t, err.Message, c.sealed, name)
		}
		_, _, err := c.tr.Request(nil, thinking(encrypted(c.sealed)), corpus.ID, corpus.Created)
		refused("input[1].encrypted_content", err)
		_, _, err = c.tr.Request(nil, thinking(`,"content":null`+encrypted(c.sealed)), corpus.ID, corpus.Created)
		refused("input[1].encrypted_content", err)

		chat, _, err := c.tr.Request(nil, thinking(`,"content":[{"type":"reasoning_text","text":"In clear."}]`+encrypted(c.sealed)), corpus.ID, corpus.Created)
		require.Nil(t, err, name)
		assert.Contains(t, string(chat), `"reasoning":"In clear."`, "the clear text is used where it is there")

		chat, _, err = sealing().For(alice).Request(nil, thinking(encrypted(c.sealed)), corpus.ID, corpus.Created)
		require.Nil(t, err, "without keys it is what somebody else has encrypted")
		assert.NotContains(t, string(chat), "reasoning")
	}
}

func TestACodedCopyIsReadWhereThoughtsAreSealed(t *testing.T) {
	coded := string(thought.AppendCopy(nil, []byte("Hm.")))
	for name, tr := range map[string]*translate.Translator{"with keys": sealing(newKey), "without": sealing()} {
		chat, _, err := tr.For(alice).Request(nil, thinking(encrypted(coded)), corpus.ID, corpus.Created)
		require.Nil(t, err, name)
		assert.Contains(t, string(chat), `"reasoning":"Hm."`, name)
	}
	for name, nothing := range map[string]string{"empty": encrypted(""), "null": `,"encrypted_content":null`, "absent": ""} {
		_, _, err := sealing(newKey).For(alice).Request(nil, thinking(nothing), corpus.ID, corpus.Created)
		assert.Nil(t, err, name)
	}
	assert.Regexp(t, `"encrypted_content":"A[A-P]`, thinks(t, sealing().For(alice), false), "without keys a copy is coded")
}

func TestAStoredItemThatDoesNotOpenIsNamed(t *testing.T) {
	past := &translate.Past{Items: []byte(`[{"type":"reasoning","summary":[]` + encrypted("AQAA") + `}]`)}
	body := []byte(`{"model":"m","previous_response_id":"resp_1","input":"go"}`)
	_, _, err := sealing(newKey).For(alice).Continued(nil, body, 8, past, corpus.ID, corpus.Created)
	require.NotNil(t, err)
	assert.Equal(t, "invalid_encrypted_content", err.Code)
	assert.Equal(t, "previous_response_id", err.Param)
}
