package translate

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

func noFiles(path string) *responses.Error {
	err := responses.Invalid(path, "no files are stored here: send the data itself")
	err.Code = "unsupported_parameter"
	return err
}

// fileText returns the text of an input_file: chat parts have no files, but
// text is text. The file's name, when there is one, stands above it.
func fileText(part jsontext.Value, at place) ([]byte, *responses.Error) {
	for _, member := range [...]string{"file_id", "file_url"} {
		if !part.Get(member).IsNull() {
			return nil, noFiles(at.of(member))
		}
	}
	v := part.Get("file_data")
	if v.IsNull() {
		return nil, missing(at.of("file_data"))
	}
	if v.Kind() != jsontext.String {
		return nil, responses.WrongType(at.of("file_data"), "a string", v)
	}
	encoded := string(v.Text())
	if data, isURL := strings.CutPrefix(encoded, "data:"); isURL {
		_, encoded, isURL = strings.Cut(data, ";base64,")
		if !isURL {
			return nil, invalidValue(at.of("file_data"), "must be base64, or a data URL with ;base64,")
		}
	}
	var text []byte
	if name := part.Get("filename"); !name.IsNull() {
		if name.Kind() != jsontext.String {
			return nil, responses.WrongType(at.of("filename"), "a string", name)
		}
		text = append(append(append(text, "File: "...), name.Text()...), "\n\n"...)
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
