package plain

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"flydeploy/text"
)

// output is where plain text goes. It keeps the first error of writing, after which nothing more is written.
type output struct {
	to   io.Writer
	err  error
	open string // the last line, if it has no end: a question
	cut  string // a question that was ended by what somebody else has written
}

func (o *output) write(s string) {
	if o.err != nil {
		return
	}
	if _, err := io.WriteString(o.to, s); err != nil {
		o.err = fmt.Errorf("write output: %w", err)
	}
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		o.open, s = "", s[i+1:]
	}
	o.open += s
}

// tell writes lines that are about something else than the question before them, which again asks again.
func (o *output) tell(lines string) {
	if lines == "" {
		return
	}
	if o.open != "" {
		o.cut = o.open
		o.write("\n")
	}
	o.write(lines)
}

func (o *output) again() {
	if o.cut != "" {
		o.write(o.cut)
	}
	o.cut = ""
}

// answered notes down that a line was typed, which has ended that of the question, and gives it.
func (o *output) answered() (question string) {
	question, o.open = o.open, ""
	return question
}

// sprintf is fmt.Sprintf of texts that others may have written: each is cleaned by itself, so that what it holds cannot reach
// into the words around it.
func sprintf(format string, args ...any) string {
	cleaned := make([]any, len(args))
	for i, arg := range args {
		cleaned[i] = arg
		if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
			cleaned[i] = text.Line(v.String())
		}
	}
	return fmt.Sprintf(format, cleaned...)
}
