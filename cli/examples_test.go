package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"flydeploy/engine"
	"flydeploy/engine/agent/kept"
)

// workflow is what we read of a GitHub workflow.
type workflow struct {
	Jobs map[string]struct {
		Steps []struct {
			If, Run string
			With    struct{ Path, Key string }
		}
	}
}

// flydeployCalls are those in a script of a shell, and shellWords takes one apart as a shell does, as far as there are no quotes in quotes.
var (
	flydeployCalls = regexp.MustCompile(`(?m)(?:^\s*|\$\()flydeploy ((?:'[^']*'|"[^"]*"|[^'"|>\n])*)`)
	shellWords     = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// The example for CI is a workflow that rehearses and plans pull requests, and deploys what is merged, with commands and options that exist.
func TestTheWorkflowForCI(t *testing.T) {
	text, err := os.ReadFile("../examples/ci/github.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	var ran []string
	outputs := map[string]string{"status": "json", "rehearse": "markdown", "plan": "markdown", "hot": "markdown"}
	for _, step := range w.Jobs["fly"].Steps {
		for _, call := range flydeployCalls.FindAllStringSubmatch(step.Run, -1) {
			line := shellWords.FindAllString(call[1], -1)
			for i := range line {
				line[i] = strings.Trim(line[i], `'"`)
			}
			found, flags, err := Command().Find(line)
			if err != nil {
				t.Errorf("%s: %v", call[0], err)
				continue
			}
			ran = append(ran, found.Name()+" if "+step.If)
			checkFlags(t, found, flags, outputs[found.Name()])
		}
		// A plan that cannot go hot is no failure: what is merged goes cold then. Everything else is.
		if calls := strings.Contains(step.Run, "flydeploy rehearse") || strings.Contains(step.Run, "flydeploy plan"); calls && !strings.HasSuffix(strings.TrimSpace(step.Run), "|| [ $? -eq 3 ]") {
			t.Errorf("%s ends otherwise", step.Run)
		}
	}
	if want := []string{"status if ", "rehearse if ", "plan if github.event_name == 'pull_request'", "hot if github.event_name == 'push'"}; !slices.Equal(ran, want) {
		t.Errorf("it calls %q, want %q", ran, want)
	}
}

func checkFlags(t *testing.T, cmd *cobra.Command, flags []string, output string) {
	t.Helper()
	cmd.SetOut(io.Discard)
	if err := cmd.ParseFlags(flags); err != nil || len(cmd.Flags().Args()) > 0 {
		t.Errorf("%s %q: %v", cmd.Name(), flags, err)
	}
	if out, err := cmd.Flags().GetString("output"); err != nil || out != output {
		t.Errorf("%s: its output is %q, %v", cmd.Name(), out, err)
	}
}

// The workflow keeps what compiled agents lie in, which another flydeploy does not use.
func TestTheWorkflowKeepsAgents(t *testing.T) {
	text, err := os.ReadFile("../examples/ci/github.yml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	folder, ok := kept.Agents().(kept.Folder)
	if !ok {
		t.Skip("no cache folder")
	}
	path := filepath.ToSlash(filepath.Join("~", ".cache", filepath.Base(filepath.Dir(string(folder))), filepath.Base(string(folder))))
	for _, step := range w.Jobs["fly"].Steps {
		if step.With.Path == path && strings.Contains(step.With.Key, "env.ARCHIVE") {
			return
		}
	}
	t.Errorf("no step keeps %s", path)
}

// The workflow finds the image that runs where `flydeploy status` has it.
func TestTheWorkflowsImage(t *testing.T) {
	text, err := os.ReadFile("../examples/ci/github.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".metadata.hot_upgrade.source_image_ref", ".machines[0].image_ref"} {
		if !strings.Contains(string(text), path) {
			t.Errorf("it does not look at %s", path)
		}
	}
	body, err := json.Marshal(engine.Overview{
		Machines: []engine.Machine{{Image: "registry.fly.io/shop:v1"}}, Metadata: &engine.Metadata{HotUpgrade: &engine.HotUpgrade{SourceImageRef: "registry.fly.io/shop:v2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Metadata struct {
			HotUpgrade struct {
				Image string `json:"source_image_ref"`
			} `json:"hot_upgrade"`
		} `json:"metadata"`
		Machines []struct {
			Image string `json:"image_ref"`
		} `json:"machines"`
	}
	if err := json.Unmarshal(body, &o); err != nil || o.Metadata.HotUpgrade.Image != "registry.fly.io/shop:v2" || len(o.Machines) != 1 || o.Machines[0].Image != "registry.fly.io/shop:v1" {
		t.Errorf("%s: %v", body, err)
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
