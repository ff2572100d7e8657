package cli

import (
	"io"
	"strings"

	"flydeploy/tui/cells"
)

// writeTable writes rows below titles, cleaned, every column as wide as its widest cell on a terminal.
func writeTable(out io.Writer, rows [][]string, titles ...string) error {
	columns := make([]cells.Column, len(titles))
	for i, title := range titles {
		columns[i].Title = title
	}
	_, err := io.WriteString(out, strings.Join(cells.Table(columns, rows), "\n")+"\n")
	return err
}
