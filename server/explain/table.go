package explain

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"antwort/shared/translate"

	"github.com/valyala/fastjson"
)

// width is how wide a table is at most, in columns.
const width = 100

// page is a report as text.
type page struct {
	strings.Builder
	colour bool
}

// WriteTable writes the report for people to read, at most 100 columns wide. colour is
// for terminals.
func (r *Report) WriteTable(out io.Writer, colour bool) error {
	p := &page{colour: colour}
	p.head(r)
	p.fields(r.Fields)
	p.rest(r)
	if r.Answer != nil {
		p.answer(r.Answer)
	}
	_, err := io.WriteString(out, p.String())
	return err
}

const aboutWidth = 10

// about writes a statement, with what it is about before it.
func (p *page) about(what, text string) {
	p.columns([]int{aboutWidth}, "", []string{what}, text)
}

// columns writes a line of cells and a text behind them, which goes on below itself. style
// is the last cell's.
func (p *page) columns(widths []int, style string, cells []string, text string) {
	indent := 0
	for i, wide := range widths {
		cell, last := cells[i], i == len(widths)-1
		if last {
			p.styled(style, cell)
		} else {
			p.WriteString(cell)
		}
		indent += wide
		switch n := utf8.RuneCountInString(cell); {
		case text == "" && last:
		case n < wide:
			p.WriteString(strings.Repeat(" ", wide-n))
		default:
			p.WriteString("\n" + strings.Repeat(" ", indent))
		}
	}
	for i, line := range wrapped(text, width-indent) {
		if i > 0 {
			p.WriteString("\n" + strings.Repeat(" ", indent))
		}
		p.WriteString(line)
	}
	p.WriteString("\n")
}

// wrapped is a text in lines, each of so many columns at most.
func wrapped(text string, most int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		for utf8.RuneCountInString(word) > most {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			cut := len(string([]rune(word)[:most]))
			lines, word = append(lines, word[:cut]), word[cut:]
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > most:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Styles of a terminal.
const (
	bad   = "31"
	lost  = "33"
	moved = "32"
	kept  = "36"
	bold  = "1"
)

func (p *page) styled(style, text string) {
	if !p.colour || style == "" {
		p.WriteString(text)
		return
	}
	p.WriteString("\x1b[" + style + "m" + text + "\x1b[0m")
}

func styleOf(fates []translate.Fate) string {
	has := func(f translate.Fate) bool { return slices.Contains(fates, f) }
	switch {
	case has(refused):
		return bad
	case has(translate.Lossy), has(translate.Dropped):
		return lost
	case has(translate.Mapped), has(translate.Passed):
		return moved
	case has(echoed):
		return kept
	}
	return ""
}

func (p *page) head(r *Report) {
	switch stream := ", answered by a stream"; {
	case r.Outcome == Refused:
		p.columns([]int{aboutWidth}, bad, []string{"refused"}, strconv.Itoa(r.Refusal.Status)+" "+orType(r.Refusal)+": "+r.Refusal.Message)
	default:
		if !r.Stream {
			stream = ", answered whole"
		}
		p.columns([]int{aboutWidth}, moved, []string{"taken"}, string(r.Outcome)+stream)
	}
	if r.Caller != nil {
		p.about("caller", callerText(r.Caller))
	}
	for _, l := range r.Limits {
		p.about("limit", l.text())
	}
	for i := range r.Routes {
		if c := &r.Routes[i]; len(r.Routes) > 1 || r.Route == nil {
			p.about("route", c.text())
		}
	}
	if r.Route == nil {
		return
	}
	for i := range r.Route.Backends {
		p.about("backend", r.Route.text(i))
	}
}

func orType(r *Refusal) string {
	if r.Code != "" {
		return r.Code
	}
	return r.Type
}

func callerText(c *Caller) string {
	switch {
	case !c.Asked:
		return "nobody is asked who calls"
	case c.Subject == "":
		return "not named"
	}
	text := c.Subject + ofTenant(c.Tenant)
	if c.Key != "" {
		text += ", key " + c.Key
	}
	if len(c.Models) > 0 {
		return text + ", for models " + strings.Join(c.Models, ", ")
	}
	return text + ", for all models"
}

func (l *Limit) text() string {
	var parts []string
	add := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, strconv.FormatInt(n, 10)+" "+what)
		}
	}
	add(l.RequestsAtOnce, "requests at once")
	add(l.RequestsPerMinute, "requests a minute")
	add(l.TokensPerMinute, "tokens a minute")
	add(l.TokensPerDay, "tokens a day")
	add(l.TokensPerMonth, "tokens a month")
	per := ""
	if len(l.Per) > 0 {
		per = ", for each " + strings.Join(l.Per, " and ")
	}
	return l.Rule + ": " + strings.Join(parts, ", ") + per
}

func (c *Candidate) text() string {
	var parts []string
	for _, condition := range c.Conditions {
		fits := " fits"
		if !condition.Fits {
			fits = " does not fit"
		}
		parts = append(parts, condition.What+fits)
	}
	if parts == nil {
		parts = []string{"every request fits"}
	}
	text := c.Name + ": " + strings.Join(parts, "; ")
	if c.Chosen {
		text += "; chosen"
	}
	return text
}

func (r *Route) text(i int) string {
	b := &r.Backends[i]
	text := b.URL + " of route " + r.Name + ", " + r.Provider
	if b.Model != "" {
		text += ", as model " + b.Model
	}
	if len(r.Backends) > 1 {
		text += ", weight " + strconv.Itoa(b.Weight) + ", priority " + strconv.Itoa(b.Priority) + ", " + r.Balance
	}
	return text
}

// fields writes the table of the fields.
func (p *page) fields(all []Field) {
	if len(all) == 0 {
		return
	}
	const mostField, mostFates = 42, 20
	widths := []int{len("field") + 2, len("what became of it") + 2}
	for i := range all {
		widths[0] = max(widths[0], min(utf8.RuneCountInString(all[i].Field)+2, mostField))
		widths[1] = max(widths[1], min(len(fatesText(all[i].Fates))+2, mostFates))
	}
	p.WriteString("\n")
	p.columns(widths, bold, []string{"field", "what became of it"}, "where, and why")
	for i := range all {
		f := &all[i]
		text := strings.Join(f.To, ", ")
		if f.Why != "" && text != "" {
			text += " – "
		}
		p.columns(widths, styleOf(f.Fates), []string{f.Field, fatesText(f.Fates)}, text+f.Why)
	}
}

func fatesText(fates []translate.Fate) string {
	texts := make([]string, len(fates))
	for i, f := range fates {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}

// rest writes what no field became, and what else there is to say.
func (p *page) rest(r *Report) {
	if len(r.Added)+len(r.Defaults)+len(r.Notes) > 0 {
		p.WriteString("\n")
	}
	for i := range r.Added {
		a := &r.Added[i]
		text := a.To + " " + a.Value
		if a.Why != "" {
			text += " – " + a.Why
		}
		p.about("added", text)
	}
	var shown []string
	for _, d := range r.Defaults {
		shown = append(shown, d.Field+" "+d.Value)
	}
	if shown != nil {
		p.about("defaults", "the answer shows "+strings.Join(shown, ", "))
	}
	for _, n := range r.Notes {
		p.about("note", n)
	}
}

// answer writes what a recorded answer becomes.
func (p *page) answer(a *Answer) {
	p.WriteString("\n")
	if a.Refusal != nil {
		p.columns([]int{aboutWidth}, bad, []string{"error"}, strconv.Itoa(a.Refusal.Status)+" "+orType(a.Refusal)+": "+a.Refusal.Message)
		return
	}
	const eventWidth = 44
	n := 0
	p.columns([]int{aboutWidth, eventWidth}, bold, []string{"event", "type"}, "of the backend's")
	for _, s := range a.Steps {
		from := said(s.Chat)
		if len(s.Events) == 0 {
			p.columns([]int{aboutWidth, eventWidth}, "", []string{"–", "none"}, cut(from, width-aboutWidth-eventWidth))
		}
		for i, e := range s.Events {
			n++
			if i > 0 {
				from = ""
			}
			p.columns([]int{aboutWidth, eventWidth}, "", []string{strconv.Itoa(n), e.Type}, cut(from, width-aboutWidth-eventWidth))
		}
	}
	if a.Text != "" {
		p.about("text", cut(a.Text, 4*(width-aboutWidth)))
	}
	switch {
	case a.Verdict == nil:
	case a.Verdict.OK:
		p.columns([]int{aboutWidth}, moved, []string{"verdict"}, "the events keep all rules of the Responses API")
	default:
		for _, problem := range a.Verdict.Problems {
			p.columns([]int{aboutWidth}, bad, []string{"verdict"}, "event "+strconv.Itoa(problem.Event)+": "+problem.Rule+": "+problem.Text)
		}
	}
}

// said is what a piece of a backend's answer says, without what all pieces have.
func said(chat string) string {
	if chat == "" {
		return "its end"
	}
	v := parsed([]byte(chat))
	choice := v.Get("choices", "0")
	var parts []string
	for _, part := range []*fastjson.Value{choice.Get("delta"), choice.Get("message"), choice.Get("finish_reason"), v.Get("usage")} {
		if part != nil && part.Type() != fastjson.TypeNull {
			parts = append(parts, string(part.MarshalTo(nil)))
		}
	}
	if parts == nil {
		return chat
	}
	return strings.Join(parts, " ")
}

// cut is a text of so many characters at most.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
