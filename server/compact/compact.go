// Package compact has conversations summed up by a model: at once where they fit, and
// else in halves, the older one first.
//
//	items ─ Summarize ─► questions to a model ─► one summary
//
// How a model is asked, and what becomes of the summary, is not known here. A question
// that fails is the failure of all: nothing is left out instead.
package compact

import (
	"errors"
	"os"
	"strings"
	"unicode/utf8"

	"antwort/shared/compaction"
	"antwort/shared/failure"
	"antwort/shared/responses"
)

// instructionBytes is the longest instruction.
const instructionBytes = 64 << 10

// Instruction reads what models are told to do from a file, or returns the default.
func Instruction(file string) (string, error) {
	if file == "" {
		return compaction.Instruction, nil
	}
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		return "", err
	case len(text) > instructionBytes:
		return "", errors.New("it has more than 64 KiB")
	case strings.TrimSpace(string(text)) == "" || !utf8.Valid(text):
		return "", errors.New("it is no text in UTF-8")
	}
	return string(text), nil
}

// A Model is asked for the summary of some items, after that of what stands before
// them; "": nothing does.
type Model func(before string, items [][]byte) (summary string, used responses.Usage, f *failure.Failure)

// mostQuestions is how often a model is asked for one conversation.
const mostQuestions = 64

// Summarize has items summed up, and says what all questions together have used.
func Summarize(ask Model, items [][]byte) (summary string, used responses.Usage, f *failure.Failure) {
	s := summing{ask: ask, left: mostQuestions}
	summary, f = s.sum("", items)
	return summary, s.used, f
}

type summing struct {
	ask  Model
	used responses.Usage
	left int // questions
}

func (s *summing) sum(before string, items [][]byte) (string, *failure.Failure) {
	s.left--
	summary, used, f := s.ask(before, items)
	s.used.Add(used)
	if f == nil || !isTooLong(f) || s.left <= 0 {
		return summary, f
	}
	half := compaction.Cut(items)
	if half == 0 {
		return "", f
	}
	if before, f = s.sum(before, items[:half]); f != nil {
		return "", f
	}
	return s.sum(before, items[half:])
}

func isTooLong(f *failure.Failure) bool {
	return f.Reply != nil && f.Reply.Code == "context_length_exceeded"
}
