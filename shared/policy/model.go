package policy

import "antwort/shared/responses"

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
	return noModel(model)
}

func noModel(model string) *responses.Error {
	e := responses.NewError(404, "model_not_found", "the model "+Clip(model, 256)+" does not exist or you do not have access to it")
	e.Param = "model"
	return e
}

// AllowsReading decides about a request that is forwarded as it is.
func (id *Identity) AllowsReading(r *Reading) *responses.Error {
	if id.Restricted() && r.Model == "" {
		return refuseModel("model", "missing_required_parameter", "is required: this API key is for certain models only")
	}
	return id.Allows(r.Model)
}

// Matches reports whether a model is one of those that a pattern of the configuration
// means, in which each * stands for any text.
func Matches(pattern, model string) bool { return matches(pattern, model) }

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
