package cli

import (
	"os"
	"strings"

	"github.com/charmbracelet/x/term"

	"flydeploy/text"
)

// output is how a deploy is shown.
type output string

const (
	outputConsole  output = "console"
	outputPlain    output = "plain"
	outputJSON     output = "json"
	outputMarkdown output = "markdown"
)

// chooseOutput resolves auto: the console in a terminal that can show one, plain lines elsewhere and in CI. With
// --accessible, and for questions in a terminal that cannot repaint, the console talks in plain lines.
func (s *screenSettings) chooseOutput(asks bool) (output, error) {
	switch {
	case s.output == "plain", s.output == "json", s.output == "markdown":
		return output(s.output), nil
	case s.output != "auto" && s.output != "":
		return "", usage("--output is auto, plain, json or markdown, not %q", s.output)
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

// indented is clean text of which only the first line begins at the margin: none that others wrote can pass for one of ours.
func indented(says string) string {
	lines := strings.Split(text.Block(says), "\n")
	for i := range lines[1:] {
		if line := &lines[i+1]; *line != "" && !strings.HasPrefix(*line, "  ") {
			*line = "  " + *line
		}
	}
	return strings.Join(lines, "\n")
}
