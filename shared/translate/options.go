package translate

import (
	"antwort/shared/config"
	"antwort/shared/responses"
)

// OptionsOf returns the options that a configuration asks for.
func OptionsOf(cfg *config.Config) Options {
	t, l := cfg.Translation, cfg.Limits
	return Options{
		DefaultModel:         cfg.Engine.DefaultModel,
		FoldSystem:           t.FoldSystem,
		ReasoningField:       t.ReasoningField,
		ReasoningEvents:      t.ReasoningEvents,
		ReasoningSummary:     t.ReasoningSummary,
		DropUnsupportedTools: t.UnsupportedTools == config.Drop,
		RefuseUnknownFields:  t.UnknownFields == config.Refuse,
		Limits:               responses.Limits{Depth: l.JSONDepth, Values: l.JSONValues, Escapes: l.JSONEscapes, Items: l.InputItems, Tools: l.Tools},
		EventBytes:           int(l.EventBytes),
		AnswerBytes:          int(l.ResponseBodyBytes),
		TextBytes:            int(l.TextBytes),
	}
}

// takesEvent reports whether an event may have n bytes but for its logprobs: half as many as
// a document, for it is looked at when all of it is there.
func (o *Options) takesEvent(n int) bool { return o.TextBytes == 0 || n <= o.TextBytes/2 }

// summarizes reports whether the thoughts of the answer to r are told as
// summaries.
func (o *Options) summarizes(r *responses.Request) bool {
	switch o.ReasoningSummary {
	case config.Always:
		return true
	case config.Never:
		return false
	}
	return r.ReasoningSummary != ""
}
