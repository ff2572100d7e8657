package plain

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

// Markdown follows a deploy to its end as Lines does, with its lines on progress, and writes its plan and its end on w as
// Markdown: for a job's summary in CI, or a comment on a pull request.
func Markdown(ctx context.Context, w, progress io.Writer, d Deployment) error {
	p := engine.NewProgress()
	err := Lines(ctx, progress, d, p)
	if err != nil {
		return err
	}
	out := &output{to: w}
	out.write(markdown(p.Plan, d.Result()))
	return out.err
}

// markdown is the document: the end in a sentence, the verdict, findings, what changes, and the machines.
func markdown(p *engine.Plan, r engine.Result) string {
	var m document
	glyph, _ := view.OutcomeLook(r.Outcome)
	m.line("### %s %s", glyph, prose(view.Headline(r)))
	m.problem(r)
	if p == nil {
		p = r.Plan
	}
	if p != nil {
		m.plan(p)
	}
	if !r.DryRun {
		m.machines(r)
	}
	return m.String()
}

// MarkdownEnd writes how something has ended that is more than a deploy, or less: in a sentence, and why it did not succeed, nil for no reason.
func MarkdownEnd(w io.Writer, outcome engine.Outcome, says string, why *engine.Problem) error {
	var m document
	glyph, _ := view.OutcomeLook(outcome)
	m.line("### %s %s", glyph, prose(says))
	m.problem(engine.Result{Problem: why})
	_, err := io.WriteString(w, m.String())
	return err
}

type document struct{ strings.Builder }

// line writes a paragraph's line, and an empty one behind it. Its arguments are escaped already.
func (m *document) line(format string, args ...any) { fmt.Fprintf(m, format+"\n\n", args...) }

// problem says what stayed behind, and why the deploy did not succeed.
func (m *document) problem(r engine.Result) {
	for _, left := range r.Left {
		fmt.Fprintf(m, "- %s\n", prose(view.LeftBehind(left, time.Now())))
	}
	if len(r.Left) > 0 {
		m.WriteByte('\n')
	}
	if r.Problem == nil {
		return
	}
	m.line("**Why**: %s", prose(r.Problem.What))
	if remedy := strings.TrimSpace(text.Line(r.Problem.Remedy)); remedy != "" {
		m.line("→ %s", prose(remedy))
	}
}

func (m *document) plan(p *engine.Plan) {
	m.line("#### Plan")
	if p.Verdict.Text != "" {
		m.line("**%s**", prose(p.Verdict.Text))
	}
	for _, row := range planFacts(p) {
		fmt.Fprintf(m, "- %s\n", row)
	}
	m.WriteByte('\n')
	m.findings(p)
	m.modules(p)
	m.processes(p)
}

func planFacts(p *engine.Plan) []string {
	processes := text.Counted(p.Processes(), "process") + " to suspend"
	if n := p.Migrating(); n > 0 {
		processes += ", " + text.Count(n) + " of them migrate"
	}
	facts := []string{text.Counted(len(p.Modules), "module") + ", " + processes + ", on " + text.Counted(len(p.Machines), "machine")}
	if from := p.From(); from != "" {
		facts = append([]string{"from " + prose(from) + " to " + prose(p.Upgrade.Named())}, facts...)
	}
	if p.Strategy != "" {
		facts = append(facts, prose(p.Strategy))
	}
	for _, left := range p.LeftOut {
		facts = append(facts, prose(left.ID+" is left out: "+left.LeftOut))
	}
	return facts
}

// Heaviest first: those that block stay in sight, notes are folded.
func (m *document) findings(p *engine.Plan) {
	var notes []engine.Finding
	for _, s := range []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn} {
		for _, f := range p.Findings {
			if f.Severity == s {
				m.finding(f)
			}
		}
	}
	for _, f := range p.Findings {
		if f.Severity == engine.SeverityInfo {
			notes = append(notes, f)
		}
	}
	m.folded(text.Counted(len(notes), "note"), len(notes), func() {
		for _, f := range notes {
			m.finding(f)
		}
	})
}

func (m *document) finding(f engine.Finding) {
	var where []string
	if f.Processes > 0 {
		where = append(where, text.Counted(f.Processes, "process"))
	}
	if len(f.Machines) > 0 {
		where = append(where, view.Named(f.Machines, 120))
	}
	fmt.Fprintf(m, "- **%s** %s: %s", prose(string(f.Severity)), code(f.Name), prose(f.What))
	if len(where) > 0 {
		fmt.Fprintf(m, " (%s)", prose(strings.Join(where, " on ")))
	}
	if f.Remedy != "" {
		fmt.Fprintf(m, "<br>→ %s", prose(f.Remedy))
	}
	m.WriteString("\n\n")
}

func (m *document) modules(p *engine.Plan) {
	m.folded(text.Counted(len(p.Modules), "module"), len(p.Modules), func() {
		for _, c := range p.Modules {
			line := code(view.Module(c.Module)) + " " + prose(c.Change)
			if c.Functions != nil && c.Functions.Total() > 0 {
				line += ": " + prose(strings.TrimPrefix(functionsText(c), view.Module(c.Module)+" "))
			}
			fmt.Fprintf(m, "- %s\n", line)
		}
		m.WriteByte('\n')
	})
}

func (m *document) processes(p *engine.Plan) {
	sums := view.ProcessSums(p)
	m.folded("Processes to suspend", len(sums), func() {
		var rows [][]string
		for _, s := range sums {
			rows = append(rows, []string{code(view.Module(s.Module)), prose(s.Kind), text.Count(s.Count), text.Count(s.Machines)})
		}
		m.table([]string{"module", "kind", "processes", "machines"}, rows)
	})
}

func (m *document) machines(r engine.Result) {
	if len(r.Machines) == 0 {
		return
	}
	m.line("#### Machines")
	var rows [][]string
	for _, one := range r.Machines {
		suspended := "–"
		if one.SuspendedUS > 0 {
			suspended = view.Micros(one.SuspendedUS)
		}
		rows = append(rows, []string{code(one.ID), prose(one.Region), prose(view.EndOf(r, one.Outcome).Word), text.Count(one.Processes), suspended, prose(one.Error)})
	}
	m.table([]string{"machine", "region", "outcome", "processes", "suspended", ""}, rows)
	for _, c := range view.Crashes(r.Machines) {
		fmt.Fprintf(m, "- %s, on %s\n", prose(view.CrashText(c.Crash)), prose(strings.Join(c.Machines, ", ")))
	}
	for _, one := range r.Machines {
		for _, f := range one.Failures {
			fmt.Fprintf(m, "- %s: %s: %s\n", code(one.ID), prose(view.FailedProcess(f)), prose(f.Reason+": "+f.Exception))
		}
	}
}

// folded is a part that a click opens, where it has anything.
func (m *document) folded(title string, entries int, part func()) {
	if entries == 0 {
		return
	}
	m.line("<details><summary>%s</summary>", title)
	part()
	m.line("</details>")
}

func (m *document) table(titles []string, rows [][]string) {
	line := func(cells []string) { m.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(titles)
	line(slices.Repeat([]string{"---"}, len(titles)))
	for _, row := range rows {
		line(row)
	}
	m.WriteByte('\n')
}

// special are the characters that mean something to GitHub's Markdown anywhere in a line.
const special = "\\`*_[]#|~$"

// entities stand for what would be a tag, make a link of bare words, or call somebody.
var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "://", "&#58;//", "www.", "www&#46;", "@", "&#64;")

// prose is text that others may have written, as it would be read without Markdown; what we put between backticks is code.
func prose(s string) string {
	parts := strings.Split(text.Line(s), "`")
	if len(parts)%2 == 0 {
		return escaped(strings.Join(parts, "`"))
	}
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 {
			b.WriteString(code(part))
		} else {
			b.WriteString(escaped(part))
		}
	}
	return b.String()
}

func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return entities.Replace(b.String())
}

// code is a name as code. A table's cells end at any "|", also within code.
func code(s string) string {
	s = strings.ReplaceAll(text.Line(s), "`", "'")
	if s == "" {
		return ""
	}
	if strings.Contains(s, "|") {
		return escaped(s)
	}
	return "`" + s + "`"
}
