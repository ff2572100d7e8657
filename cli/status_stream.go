package cli

import (
	"fmt"
	"io"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// rowsAtOnce is how many machines a table of them has that is printed as a whole. Of a larger fleet each row comes as soon as its machine
// has answered, and what is to be said of all follows.
const rowsAtOnce = 50

// streamStatus prints the status of a large fleet. inspect asks the machines, and tells each that is done.
func streamStatus(out io.Writer, o *engine.Overview, inspect func(told func(engine.Machine))) error {
	widths := make([]int, len(statusTitles))
	widen := func(row []string) {
		for i, cell := range row {
			widths[i] = max(widths[i], cells.Width(text.Line(cell)))
		}
	}
	widen(statusTitles)
	widen([]string{7: "", 8: "next boot", 9: "uncalled", 10: ""})
	for _, m := range o.Machines {
		widen(statusRow(*o, m))
	}
	var failed error
	write := func(row []string) {
		var line strings.Builder
		for i, cell := range row {
			cell = text.Line(cell)
			line.WriteString(cell + strings.Repeat(" ", max(widths[i]-cells.Width(cell), 0)+2))
		}
		if _, err := fmt.Fprintln(out, strings.TrimRight(line.String(), " ")); err != nil {
			failed = err
		}
	}
	write(statusTitles)
	inspect(func(m engine.Machine) { write(statusRow(*o, m)) })
	if failed != nil {
		return failed
	}
	fmt.Fprintln(out)
	printFleetStatus(out, *o)
	printRemarks(out, *o)
	return nil
}
