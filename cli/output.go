package cli

import (
	"io"
	"os"

	"flydeploy/tui/plain"

	"github.com/charmbracelet/x/term"
)

// output is how a deploy is shown.
type output string

const (
	outputConsole output = "console"
	outputPlain   output = "plain"
	outputJSON    output = "json"
)

// chooseOutput resolves auto: the console in a terminal that can show one, plain lines elsewhere and in CI. With
// --accessible, and for questions in a terminal that cannot repaint, the console talks in plain lines.
func (s *screenSettings) chooseOutput(asks bool) (output, error) {
	switch {
	case s.output == "plain", s.output == "json":
		return output(s.output), nil
	case s.output != "auto" && s.output != "":
		return "", usage("--output is auto, plain or json, not %q", s.output)
	case s.accessible, canRepaint():
		return outputConsole, nil
	case onTerminal() && asks:
		s.accessible = true
		return outputConsole, nil
	}
	return outputPlain, nil
}

func onTerminal() bool {
	return term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stdout.Fd()) && os.Getenv("CI") == ""
}

// canRepaint reports whether there is a terminal that can show the console.
func canRepaint() bool { return onTerminal() && os.Getenv("TERM") != "dumb" }

// encode writes one object on a line, as the lines of events are written.
func encode(w io.Writer, v any) error {
	return plain.Encode(w, v)
}
