package plain

import (
	"fmt"
	"io"
	"reflect"

	"flydeploy/text"
)

// output is where plain text goes. It keeps the first error of writing, after which nothing more is written.
type output struct {
	to  io.Writer
	err error
}

func (o *output) write(s string) {
	if o.err != nil {
		return
	}
	if _, err := io.WriteString(o.to, s); err != nil {
		o.err = fmt.Errorf("write output: %w", err)
	}
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
