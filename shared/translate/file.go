package translate

import (
	"encoding/base64"
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

// fileText returns the text of an input_file: chat parts have no files, but
// text is text. The file's name, when there is one, stands above it.
func fileText(part *fastjson.Value, at place) ([]byte, *responses.Error) {
	for _, member := range [...]string{"file_id", "file_url"} {
		if !jsontext.IsNull(part.Get(member)) {
			return nil, noFiles(at.of(member))
		}
	}
	v := part.Get("file_data")
	if jsontext.IsNull(v) {
		return nil, missing(at.of("file_data"))
	}
	if v.Type() != fastjson.TypeString {
		return nil, responses.WrongType(at.of("file_data"), "a string", v)
	}
	encoded := string(v.GetStringBytes())
	if data, isURL := strings.CutPrefix(encoded, "data:"); isURL {
		_, encoded, isURL = strings.Cut(data, ";base64,")
		if !isURL {
			return nil, invalidValue(at.of("file_data"), "must be base64, or a data URL with ;base64,")
		}
	}
	var text []byte
	if name := part.Get("filename"); !jsontext.IsNull(name) {
		if name.Type() != fastjson.TypeString {
			return nil, responses.WrongType(at.of("filename"), "a string", name)
		}
		text = append(append(append(text, "File: "...), name.GetStringBytes()...), "\n\n"...)
	}
	text, err := base64.StdEncoding.AppendDecode(text, []byte(encoded))
	if err != nil {
		return nil, invalidValue(at.of("file_data"), "is not valid base64")
	}
	if !utf8.Valid(text) || strings.IndexByte(string(text), 0) >= 0 {
		e := responses.Invalid(at.of("file_data"), "is not a text file: the model server takes text files only")
		e.Code = "unsupported_file"
		return nil, e
	}
	return text, nil
}
