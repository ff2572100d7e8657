package cli

import (
	"github.com/spf13/cobra"

	"flydeploy/cli/demo"
	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// optionValues are the values that a shell offers for options which take one of a few.
var optionValues = map[string][]string{
	"depot":         {"auto", "true", "false"},
	optionIsolation: words(demo.Isolations),
	"on-sick":       words(engine.OnSickWays),
	"rehearse":      {"one", "all", "none"},
	"storage":       {storageOfMachine, storageOfEnv},
	"strategy":      words(engine.Strategies),
	"waves-by":      {string(engine.WavesByRegion), string(engine.WavesByGroup)},
	"theme":         themes,
	"skin":          words(cells.Skins),
}

// outputs are the values of --output, of commands that show a deploy, and of those that read.
var outputs, readOutputs = []string{"auto", "plain", "json", "markdown"}, []string{"plain", "json"}

func words[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// completeValues lets shells complete the values of options, of a command and those below it.
func completeValues(c *cobra.Command) {
	offer := func(option string, values []string) {
		if c.Flags().Lookup(option) != nil {
			_ = c.RegisterFlagCompletionFunc(option, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // it is there, and has none
		}
	}
	for option, values := range optionValues {
		offer(option, values)
	}
	if f := c.Flags().Lookup("output"); f != nil && f.DefValue == "auto" {
		offer("output", outputs)
	} else {
		offer("output", readOutputs)
	}
	for _, below := range c.Commands() {
		completeValues(below)
	}
}
