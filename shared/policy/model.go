package policy

import (
	"strings"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// Restricted reports whether the caller may use certain models only. Nobody
// (nil) is not restricted.
func (id *Identity) Restricted() bool { return id != nil && len(id.models) > 0 }

// Allows decides about a model. The error does not say whether there is such a
// model: it is the 404 that OpenAI gives for both.
func (id *Identity) Allows(model string) *responses.Error {
	if !id.Restricted() {
		return nil
	}
	for _, pattern := range id.models {
		if matches(pattern, model) {
			return nil
		}
	}
	e := responses.NewError(404, "model_not_found", "the model "+Clip(model, 256)+" does not exist or you do not have access to it")
	e.Param = "model"
	return e
}

// AllowsBody decides about a request that is forwarded as it is, by its body.
// Whoever reads it next must find the same model in it: what parsers read in
// different ways is refused.
func (id *Identity) AllowsBody(p *fastjson.Parser, body []byte, lim responses.Limits) *responses.Error {
	if !id.Restricted() {
		return nil
	}
	if err := responses.Check(body, lim); err != nil {
		return err
	}
	v, parseErr := p.ParseBytes(body)
	if parseErr != nil || v.Type() != fastjson.TypeObject {
		return responses.NewError(400, "invalid_json", "the request body must be a JSON object")
	}
	var model *fastjson.Value
	var err *responses.Error
	v.GetObject().Visit(func(name []byte, v *fastjson.Value) {
		switch {
		case err != nil || len(name) > 64 || !strings.EqualFold(string(name), "model"):
		case string(name) != "model":
			err = refuseModel(Clip(string(name), 64), "unknown_parameter", "unknown parameter, the name is written model")
		case model != nil:
			err = refuseModel("model", "duplicate_parameter", "is given more than once")
		default:
			model = v
		}
	})
	switch {
	case err != nil:
		return err
	case model == nil || jsontext.IsNull(model):
		return refuseModel("model", "missing_required_parameter", "is required: this API key is for certain models only")
	case model.Type() != fastjson.TypeString:
		return refuseModel("model", "invalid_type", "must be a string")
	}
	return id.Allows(string(model.GetStringBytes()))
}

func refuseModel(param, code, message string) *responses.Error {
	e := responses.Invalid(param, message)
	e.Code = code
	return e
}

// matches reports whether a name fits a pattern, in which each * stands for any
// text, none included. It takes at most len(pattern)·len(name) steps.
func matches(pattern, name string) bool {
	star, mark := -1, 0 // the last * and where in name it ends so far
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
