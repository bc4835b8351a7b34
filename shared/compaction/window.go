package compaction

import (
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// AppendWindow appends what a conversation is to go on from (response.compaction): the
// messages of the user, and a compaction item with what stands for all else, sealed. id is
// the random part of the ids.
func AppendWindow(dst []byte, id string, created int64, messages [][]byte, sealed []byte, used responses.Usage) []byte {
	dst = text(text(text(dst, `{"id":"resp_`), id), `","object":"response.compaction","created_at":`)
	dst = text(strconv.AppendInt(dst, created, 10), `,"output":[`)
	for i, raw := range messages {
		number := strconv.Itoa(i)
		if len(number) == 1 {
			number = "0" + number
		}
		dst = text(text(text(text(dst, `{"id":"msg_`), id), "i"), number)
		dst = text(dst, `","type":"message","status":"completed","role":"user","content":`)
		it := look(raw)
		if _, is := jsontext.Text(it.content); is {
			dst = text(bytesOf(text(dst, `[{"type":"input_text","text":`), it.content), `}]`)
		} else {
			dst = bytesOf(dst, it.content)
		}
		dst = text(dst, "},")
	}
	dst = text(text(text(dst, `{"id":"cmp_`), id), `","type":"compaction","encrypted_content":"`)
	dst = text(bytesOf(dst, sealed), `"}],"usage":`)
	return text(used.Append(dst), "}")
}
