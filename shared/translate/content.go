package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// partType returns the type of a part; it lives as long as the request.
func partType(part *fastjson.Value, at place) ([]byte, *responses.Error) {
	o := part.GetObject()
	if o == nil {
		return nil, responses.WrongType(at.path(), "an object", part)
	}
	v := o.Get("type")
	if jsontext.IsNull(v) {
		return nil, missing(at.of("type"))
	}
	if !jsontext.IsString(v) {
		return nil, responses.WrongType(at.of("type"), "a string", v)
	}
	return jsontext.Start(v), nil
}

func unknownPart(at place, typ []byte) *responses.Error {
	return invalidValue(at.of("type"), "parts of type "+quote(string(typ))+" are not supported here")
}

// appendText appends the escaped inside of a member that must be a string.
func appendText(dst []byte, v *fastjson.Value, at place, member string) ([]byte, *responses.Error) {
	if jsontext.IsNull(v) {
		return dst, missing(at.of(member))
	}
	dst, ok := jsontext.AppendRaw(dst, v)
	if !ok {
		return dst, responses.WrongType(at.of(member), "a string", v)
	}
	return dst, nil
}

// text returns the escaped inside of a member that must be a string. A long one is valid
// as long as the request, others until the next.
func (w *requestWork) text(v *fastjson.Value, at place, member string) (text []byte, err *responses.Error) {
	if text, long := jsontext.LongInside(v); long {
		return text, nil
	}
	w.scratch, err = appendText(w.scratch[:0], v, at, member)
	if text = w.scratch; len(text) >= jsontext.LongString {
		w.scratch = nil
	}
	return text, err
}

// userContent writes the content of a user message: a string stays a string,
// parts stay parts.
func (w *requestWork) userContent(content *fastjson.Value, i int) *responses.Error {
	parts := content.GetArray()
	if len(parts) == 0 {
		w.str(`"`)
		var ok bool
		if w.dst, ok = jsontext.AppendRaw(w.dst, content); !ok && content.Type() != fastjson.TypeArray {
			return responses.WrongType(item(i).of("content"), "a string or an array of parts", content)
		}
		w.str(`"`)
		w.into(w.messages-1, "content", item(i), "content")
		return nil
	}
	w.str(`[`)
	for j, part := range parts {
		if j > 0 {
			w.str(`,`)
		}
		var err *responses.Error
		if w.dst, err = w.appendPart(w.dst, part, place{i, "content", j}); err != nil {
			return err
		}
	}
	w.str(`]`)
	return nil
}

// appendPart appends one chat part for a Responses input part.
func (w *requestWork) appendPart(dst []byte, part *fastjson.Value, at place) ([]byte, *responses.Error) {
	typ, err := partType(part, at)
	if err != nil {
		return dst, err
	}
	w.intoPart("type", at, "type")
	switch string(typ) {
	case "input_text", "text":
		w.intoPart("text", at, "text")
		dst = append(dst, `{"type":"text","text":"`...)
		dst, err = appendText(dst, part.Get("text"), at, "text")
		return append(dst, `"}`...), err
	case "input_image":
		w.sawMedium(at)
		w.intoPart("image_url.url", at, "image_url")
		w.intoPart("image_url.detail", at, "detail")
		return appendImage(dst, part, at)
	case "input_video":
		w.sawMedium(at)
		w.intoPart("video_url.url", at, "video_url")
		dst = append(dst, `{"type":"video_url","video_url":{"url":"`...)
		dst, err = appendText(dst, part.Get("video_url"), at, "video_url")
		return append(dst, `"}}`...), err
	case "input_audio":
		w.sawMedium(at)
		audio := part.Get("input_audio")
		if audio.GetObject() == nil {
			return dst, missing(at.of("input_audio"))
		}
		w.intoPart("input_audio", at, "input_audio")
		dst = append(dst, `{"type":"input_audio","input_audio":`...)
		dst = jsontext.AppendValue(dst, audio)
		return append(dst, '}'), nil
	case "input_file":
		w.intoPart("text", at, "filename")
		w.intoPart("text", at, "file_data")
		dst = append(dst, `{"type":"text","text":"`...)
		dst, err = w.appendFile(dst, part, at)
		return append(dst, `"}`...), err
	}
	return dst, unknownPart(at, typ)
}

func appendImage(dst []byte, part *fastjson.Value, at place) ([]byte, *responses.Error) {
	if !jsontext.IsNull(part.Get("file_id")) {
		return dst, noFiles(at.of("file_id"))
	}
	dst = append(dst, `{"type":"image_url","image_url":{"url":"`...)
	dst, err := appendText(dst, part.Get("image_url"), at, "image_url")
	if err != nil {
		return dst, err
	}
	dst = append(dst, '"')
	if detail := part.Get("detail"); !jsontext.IsNull(detail) {
		switch s := string(jsontext.Start(detail)); s {
		case "auto", "low", "high", "original":
			dst = append(dst, `,"detail":"`...)
			dst = append(dst, s...)
			dst = append(dst, '"')
		default:
			return dst, invalidValue(at.of("detail"), "allowed: auto, low, high, original")
		}
	}
	return append(dst, `}}`...), nil
}

// plainText returns the escaped text of a content that can be nothing but
// text. Parts stand on lines of their own.
func (w *requestWork) plainText(content *fastjson.Value, i int) ([]byte, *responses.Error) {
	text := w.scratch[:0]
	parts := content.GetArray()
	if len(parts) == 0 {
		text, ok := jsontext.AppendRaw(text, content)
		if !ok && content.Type() != fastjson.TypeArray {
			return nil, responses.WrongType(item(i).of("content"), "a string or an array of parts", content)
		}
		w.into(w.systemMessage(), "content", item(i), "content")
		w.scratch = text
		return text, nil
	}
	for j, part := range parts {
		at := place{i, "content", j}
		typ, err := partType(part, at)
		if err != nil {
			return nil, err
		}
		switch string(typ) {
		case "input_text", "output_text", "text":
		default:
			return nil, unknownPart(at, typ)
		}
		w.lookedAt(at, "type")
		w.into(w.systemMessage(), "content", at, "text")
		if j > 0 {
			text = append(text, newline...)
		}
		if text, err = appendText(text, part.Get("text"), at, "text"); err != nil {
			return nil, err
		}
	}
	w.scratch = text
	return text, nil
}

// longContent is from which size on the text of an assistant's message gets room for all that
// the request may have of it. To double what is long takes as long as all else.
const longContent = 512 << 10

// assistantContent takes the content of an assistant message: the texts of one
// item follow each other, those of two items stand on lines of their own.
func (w *requestWork) assistantContent(content *fastjson.Value, i int) *responses.Error {
	a := &w.assistant
	first := true
	begin := func() {
		if first && len(a.content) > 0 {
			a.content = append(a.content, newline...)
		}
		first = false
		a.hasText = true
		if len(a.content) > longContent && cap(a.content) < w.size {
			a.content = jsontext.Grow(a.content, w.size-len(a.content))
		}
	}
	parts := content.GetArray()
	if len(parts) == 0 {
		mark := len(a.content)
		begin()
		var ok bool
		if a.content, ok = jsontext.AppendRaw(a.content, content); !ok {
			if content.Type() != fastjson.TypeArray {
				return responses.WrongType(item(i).of("content"), "a string or an array of parts", content)
			}
			a.content = a.content[:mark]
		}
		w.into(w.messages, "content", item(i), "content")
		return nil
	}
	for j, part := range parts {
		at := place{i, "content", j}
		typ, err := partType(part, at)
		if err != nil {
			return err
		}
		w.lookedAt(at, "type")
		switch string(typ) {
		case "output_text", "input_text", "text":
			begin()
			w.into(w.messages, "content", at, "text")
			a.content, err = appendText(a.content, part.Get("text"), at, "text")
		case "refusal":
			if a.hasRefusal {
				a.refusal = append(a.refusal, newline...)
			}
			a.hasRefusal = true
			w.into(w.messages, "refusal", at, "refusal")
			a.refusal, err = appendText(a.refusal, part.Get("refusal"), at, "refusal")
		default:
			err = unknownPart(at, typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// toolResult returns the escaped text of a tool's output and gathers its
// media: tool messages hold text only, so the media follow in a user message.
func (w *requestWork) toolResult(output *fastjson.Value, i int) ([]byte, *responses.Error) {
	text := w.scratch[:0]
	parts := output.GetArray()
	if len(parts) == 0 {
		text, ok := jsontext.AppendRaw(text, output)
		if !ok && output.Type() != fastjson.TypeArray {
			return nil, responses.WrongType(item(i).of("output"), "a string or an array of parts", output)
		}
		w.into(w.messages, "content", item(i), "output")
		w.scratch = text
		return text, nil
	}
	texts := 0
	line := func() {
		if texts > 0 {
			text = append(text, newline...)
		}
		texts++
	}
	for j, part := range parts {
		at := place{i, "output", j}
		typ, err := partType(part, at)
		if err != nil {
			return nil, err
		}
		switch string(typ) {
		case "input_text", "output_text", "text":
			line()
			w.lookedAt(at, "type")
			w.into(w.messages, "content", at, "text")
			text, err = appendText(text, part.Get("text"), at, "text")
		case "input_file":
			line()
			w.lookedAt(at, "type")
			w.into(w.messages, "content", at, "filename")
			w.into(w.messages, "content", at, "file_data")
			text, err = w.appendFile(text, part, at)
		default:
			if len(w.media) > 0 {
				w.media = append(w.media, ',')
			}
			w.media, err = w.appendPart(w.media, part, at)
			w.gathered()
		}
		if err != nil {
			return nil, err
		}
	}
	w.scratch = text
	return text, nil
}

// flushMedia writes the media of the tool results before.
func (w *requestWork) flushMedia() {
	if len(w.media) == 0 {
		return
	}
	w.nextMessage(`{"role":"user","content":[`)
	w.gatheredInto()
	w.dst = append(w.dst, w.media...)
	w.str(`]}`)
	w.media = w.media[:0]
}
