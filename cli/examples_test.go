package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// workflow is what we read of a GitHub workflow.
type workflow struct {
	Jobs map[string]struct {
		Steps []struct{ If, Run string }
	}
}

// The example for CI is a workflow that plans pull requests and deploys what is merged, with commands and options that exist.
func TestTheWorkflowForCI(t *testing.T) {
	text, err := os.ReadFile("../examples/ci/github.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	when := map[string]string{}
	for _, step := range w.Jobs["fly"].Steps {
		for _, call := range regexp.MustCompile(`(?m)^\s*flydeploy (.*)$`).FindAllString(step.Run, -1) {
			words, _, _ := strings.Cut(call, ">>")
			found, flags, err := Command().Find(strings.Fields(strings.ReplaceAll(words, `"$(git log -1 --format=%s)"`, "why"))[1:])
			if err != nil {
				t.Errorf("%s: %v", words, err)
				continue
			}
			when[found.Name()] = step.If
			checkFlags(t, found, flags, words)
		}
	}
	if len(when) != 2 || when["plan"] != "github.event_name == 'pull_request'" || when["hot"] != "github.event_name == 'push'" {
		t.Errorf("it calls commands on these conditions: %v", when)
	}
}

func checkFlags(t *testing.T, cmd *cobra.Command, flags []string, words string) {
	t.Helper()
	cmd.SetOut(io.Discard)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Errorf("%s: %v", words, err)
	}
	if out, err := cmd.Flags().GetString("output"); err != nil || out != "markdown" {
		t.Errorf("%s: its output is %q, %v", words, out, err)
	}
}

// Shells complete the values of options, with those that the command takes.
func TestValuesAreCompleted(t *testing.T) {
	for line, want := range map[string]string{
		"hot --strategy ":  "all rolling canary",
		"hot --on-sick ":   "stop back continue",
		"hot --output ":    "auto plain json markdown",
		"status --output ": "plain json",
		"hot --rehearse=":  "one all none",
	} {
		var out strings.Builder
		root := Command()
		root.SetOut(&out)
		root.SetErr(io.Discard)
		root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(line, " ")...))
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		got, _, _ := strings.Cut(out.String(), ":")
		if strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%s offers %q, want %s", line, got, want)
		}
	}
}
