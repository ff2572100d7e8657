package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// withValues joins an option whose value may be left out, such as --rehearse, with a word that follows it, which would be taken for an
// argument otherwise: commands with such options have no arguments. The name of a command stays one.
func withValues(root *cobra.Command, args []string) []string {
	optional := map[string]bool{}
	gatherOptional(root, optional)
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		if option, is := strings.CutPrefix(args[i], "--"); is && optional[option] && i+1 < len(args) && isValue(root, args[i+1]) {
			out = append(out, args[i]+"="+args[i+1])
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// gatherOptional finds the options of a command, and of those below it, whose value may be left out. Switches have none.
func gatherOptional(c *cobra.Command, found map[string]bool) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" && f.Value.Type() != "bool" {
			found[f.Name] = true
		}
	})
	for _, below := range c.Commands() {
		gatherOptional(below, found)
	}
}

func isValue(root *cobra.Command, word string) bool {
	return word != "" && !strings.HasPrefix(word, "-") &&
		!slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word || c.HasAlias(word) })
}
