//go:build !wasip1

package translate_test

import (
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A trail is told of its own request only.
func TestATrailIsOfOneRequest(t *testing.T) {
	tr := translate.New(benchOptions)
	var trail translate.Trail
	chat, turn, err := tr.For([16]byte{}).Tracing(&trail).Request(nil, request2KB, corpus.ID, corpus.Created)
	require.Nil(t, err)
	turn.Free()
	told := len(trail.Notes)
	assert.Greater(t, told, 20)
	again, turn, err := tr.Request(nil, request2KB, corpus.ID, corpus.Created)
	require.Nil(t, err)
	turn.Free()
	assert.Equal(t, string(chat), string(again))
	assert.Len(t, trail.Notes, told)
}

// BenchmarkRequest2KBTraced is the same for somebody who wants to know what becomes of
// each field: what it is dearer by nobody else pays.
func BenchmarkRequest2KBTraced(b *testing.B) {
	tr := translate.New(benchOptions)
	dst := make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(request2KB)))
	b.ReportAllocs()
	for b.Loop() {
		values, err := responses.Count(request2KB, benchOptions.Limits)
		if err != nil {
			b.Fatal(err)
		}
		var trail translate.Trail
		_, turn, err := tr.For([16]byte{}).Tracing(&trail).Checked(dst, request2KB, values, corpus.ID, corpus.Created)
		if err != nil {
			b.Fatal(err)
		}
		turn.Free()
	}
}
