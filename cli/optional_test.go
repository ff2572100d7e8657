package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An option whose value may be left out takes a word after it all the same, unless that is a command.
func TestAnOptionalValueMayFollowASpace(t *testing.T) {
	for line, want := range map[string]string{
		"rehearse --rehearse none --yes":        "rehearse --rehearse=none --yes",
		"hot --pause 5m --apply-children keep":  "hot --pause=5m --apply-children=keep",
		"--depot auto hot":                      "--depot=auto hot",
		"--depot hot --yes":                     "--depot hot --yes",
		"hot --rehearse":                        "hot --rehearse",
		"hot --rehearse --yes":                  "hot --rehearse --yes",
		"hot --rehearse=one":                    "hot --rehearse=one",
		"hot --yes now":                         "hot --yes now",
		"hot --skip-busy -- --depot local -m x": "hot --skip-busy -- --depot local -m x",
	} {
		if got := withValues(Command(), strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s is read as %q", line, got)
		}
	}
}

// A command with such an option has no arguments, which its value could be taken from.
func TestACommandWithOptionalValuesHasNoArguments(t *testing.T) {
	seen := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.NoOptDefVal != "" && f.Value.Type() != "bool" {
				seen[f.Name] = true
				if c.Args(c, []string{"word"}) == nil {
					t.Errorf("%s takes a word, and --%s may have none", c.CommandPath(), f.Name)
				}
			}
		})
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(Command())
	for _, option := range []string{"depot", optionPause, "rehearse", "apply-children"} {
		if !seen[option] {
			t.Errorf("--%s needs its value", option)
		}
	}
}
