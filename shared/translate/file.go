package translate

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

func noFiles(path string) *responses.Error {
	err := responses.Invalid(path, "no files are stored here: send the data itself")
	err.Code = "unsupported_parameter"
	return err
}

// appendFile appends the text of an input_file, escaped: chat parts have no files, but
// text is text. The file's name, when there is one, stands above it.
func (w *requestWork) appendFile(dst []byte, part *fastjson.Value, at place) ([]byte, *responses.Error) {
	for _, member := range [...]string{"file_id", "file_url"} {
		if !jsontext.IsNull(part.Get(member)) {
			return dst, noFiles(at.of(member))
		}
	}
	v := part.Get("file_data")
	if jsontext.IsNull(v) {
		return dst, missing(at.of("file_data"))
	}
	if !jsontext.IsString(v) {
		return dst, responses.WrongType(at.of("file_data"), "a string", v)
	}
	encoded := fileData(v)
	if data, isURL := bytes.CutPrefix(encoded, dataURL); isURL {
		n := bytes.Index(data[:min(len(data), fileHead)], inBase64)
		if n < 0 {
			return dst, invalidValue(at.of("file_data"), "must be base64, or a data URL with ;base64, in its first "+strconv.Itoa(fileHead)+" bytes")
		}
		if !isTextType(string(jsontext.Decode(nil, data[:n]))) {
			return dst, notText(at)
		}
		encoded = data[n+len(inBase64):]
	}
	isText := true
	if name := part.Get("filename"); !jsontext.IsNull(name) {
		if !jsontext.IsString(name) {
			return dst, responses.WrongType(at.of("filename"), "a string", name)
		}
		dst, isText = jsontext.AppendText(append(dst, "File: "...), jsontext.Bytes(name))
		dst = append(dst, newline+newline...)
	}
	most := w.opt.TextBytes
	tooLong := most > 0 && len(encoded)/3 > most/2 // with line ends, of which two are escaped in each 76 letters
	if tooLong {                                   // only whether it is text is looked at
		encoded, _, _ = bytes.Cut(encoded[:min(len(encoded), fileHead)], []byte(`\`))
		encoded = encoded[:len(encoded)&^3]
	}
	text, err := jsontext.AppendBase64(nil, encoded)
	if err != nil && !tooLong {
		return dst, invalidValue(at.of("file_data"), "is not valid base64")
	}
	if !isText || hasMagic(text) {
		return dst, notText(at)
	}
	if w.files += len(text); most > 0 && (tooLong || w.files > most) {
		return dst, responses.Invalid(at.of("file_data"), "makes the text of all files longer than the limit of "+strconv.Itoa(most)+" bytes")
	}
	dst, isText, failed := w.appendDecoded(dst, text, true, at, "file_data")
	if failed != nil {
		return dst, failed
	}
	if !isText {
		return dst, notText(at)
	}
	return dst, nil
}

// appendDecoded appends what was decoded, escaped, and reports whether it is text: of what must
// be no more is looked at than shows that it is none. All that is decoded of a request has no
// more escapes than it may have itself.
func (w *requestWork) appendDecoded(dst, text []byte, must bool, at place, member string) (_ []byte, isText bool, _ *responses.Error) {
	for isText = true; (isText || !must) && len(text) > 0; {
		n := min(len(text), textPart)
		for n < len(text) && n > textPart-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		before := len(dst)
		is := false
		dst, is = jsontext.AppendText(dst, text[:n])
		isText, text = isText && is, text[n:]
		w.escapes += len(dst) - before - n
		if most := w.opt.Limits.Escapes; (isText || !must) && most > 0 && w.escapes > most {
			return dst, isText, responses.Invalid(at.of(member), "has more characters to escape than the limit of "+strconv.Itoa(most))
		}
	}
	return dst, isText, nil
}

// fileData returns the inside of the string in which a file stands, with no escape more
// than it must have where a data URL says what it is; of a long one that does not say it at
// its beginning, that beginning.
func fileData(v *fastjson.Value) []byte {
	inside, long := jsontext.LongInside(v)
	if !long {
		return jsontext.AppendEscaped(nil, jsontext.Bytes(v))
	}
	head, rest := jsontext.DecodePart(nil, inside, fileHead)
	switch isURL := bytes.HasPrefix(head, dataURL); {
	case !isURL, bytes.HasPrefix(inside, head) && bytes.Contains(head, inBase64):
		return inside
	case !bytes.Contains(head, inBase64):
		return head // of another kind
	}
	return append(jsontext.AppendEscaped(make([]byte, 0, len(inside)+len(head)), head), rest...)
}

var (
	dataURL  = []byte("data:")
	inBase64 = []byte(";base64,")
)

// fileHead is within how many bytes a data URL says what it is.
const fileHead = 1 << 10

// textPart is how much of a file is looked at before it is known to be no text.
const textPart = 64 << 10

func notText(at place) *responses.Error {
	e := responses.Invalid(at.of("file_data"), "is not a text file: the model server takes text files only")
	e.Code = "unsupported_file"
	return e
}

// isTextType reports whether a file of the media type can be text. Many types of
// text are called application/…: only those are refused that are none.
func isTextType(mediaType string) bool {
	mediaType, _, _ = strings.Cut(strings.ToLower(mediaType), ";")
	kind, name, _ := strings.Cut(strings.TrimSpace(mediaType), "/")
	switch {
	case strings.HasSuffix(name, "+xml"), strings.HasSuffix(name, "+json"):
		return true
	case kind == "image", kind == "audio", kind == "video", kind == "font":
		return false
	case kind == "text":
		return name != "rtf" && name != "pdf" && name != "x-pdf"
	case kind != "application":
		return true
	}
	for _, prefix := range [...]string{"pdf", "x-pdf", "acrobat", "vnd.fdf", "postscript", "rtf", "x-rtf", "zip", "gzip", "x-tar", "x-7z", "x-bzip", "epub", "msword", "vnd.openxmlformats", "vnd.ms-", "vnd.oasis", "wasm", "java-archive"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// hasMagic reports whether a file says at its beginning that it is of a kind
// whose bytes may look like text and are none.
func hasMagic(file []byte) bool {
	start := bytes.TrimLeft(file[:min(len(file), textPart)], "\ufeff \t\r\n")
	for _, magic := range [...]string{"%PDF-", "%FDF-", "%!PS", "{\\rtf", "PK\x03\x04", "PK\x05\x06", "GIF8", "OggS", "ID3", "\x7fELF"} {
		if bytes.HasPrefix(start, []byte(magic)) {
			return true
		}
	}
	return isLatePDF(file)
}

// isLatePDF reports whether a file is a PDF behind other bytes: readers look for
// its beginning, which names a version, in the first 1024. A text that speaks of
// PDF has it neither at an end of a line nor with objects behind it.
func isLatePDF(file []byte) bool {
	objects := true // there may be some
	for from := 0; from < min(len(file), 1024); {
		n := bytes.Index(file[from:], []byte("DF-"))
		at := from + n - 2
		if n < 0 || at > 1024 {
			return false
		}
		from += n + 1
		if at < 0 || file[at] != '%' || file[at+1] != 'P' && file[at+1] != 'F' || !isVersion(file[at+5:]) {
			continue
		}
		end := at + len("%PDF-1.7")
		if at == 0 || isLineEnd(file[at-1]) || end == len(file) || isLineEnd(file[end]) {
			return true
		}
		if objects = objects && bytes.Contains(file[end:], []byte("endobj")); objects {
			return true
		}
	}
	return false
}

func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }

// isVersion reports whether b begins with a version of PDF, such as 1.7.
func isVersion(b []byte) bool {
	return len(b) >= 3 && (b[0] == '1' || b[0] == '2') && b[1] == '.' && b[2] >= '0' && b[2] <= '9'
}
