package plain_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
	"flydeploy/tui/views"
)

// toldAgo is when a machine has told how it does, by the clock of this computer.
var toldAgo = regexp.MustCompile(`told \d+s ago`)

// fleetOf is the fleet of tuitest without what depends on the time of day.
func fleetOf(n int) engine.Overview {
	o := tuitest.OverviewOf(n)
	o.Metadata.HotUpgrade.DeployedAt = time.Time{}
	return o
}

func someApps(context.Context) ([]engine.FlyApp, error) {
	return []engine.FlyApp{
		{Name: "zebra", Org: "acme", Status: "deployed"}, {Name: "cron", Org: "personal", Status: "suspended"}, {Name: "counter", Org: "demo", Status: "deployed", Here: true},
		{Name: "shop-web", Org: "acme", Status: "deployed"}, {Name: "shop-admin", Org: "acme", Status: "pending"},
	}, nil
}

// Vitals, logs, filters, views and apps are there in words, by number or by the first word of a choice.
func TestAccessibleHasWordsForAllLooks(t *testing.T) {
	o := talkative()
	o.Backend.(*tuitest.Backend).OnOverview = func(context.Context) (engine.Overview, error) { return fleetOf(6), nil }
	o.Logs, o.Apps, o.Views = &tuitest.Logs{All: tuitest.MachineLines(8)}, someApps, views.Of(t.TempDir(), "counter")
	w := talkTo(t.Context(), t, o)
	menu := 0
	chooses := func(word string) {
		t.Helper()
		menu++
		w.hears(menu, "Choice (1 to ")
		w.says(word)
	}
	chooses("vitals")
	chooses("Filter")
	w.hears(1, "Enter alone shows all machines:")
	w.says("region:ams")
	chooses("views")
	w.hears(1, "Enter alone goes back:")
	w.says("save Amsterdam")
	chooses("views")
	w.hears(2, "Enter alone goes back:")
	w.says("save")
	chooses("filter")
	w.hears(2, "Enter alone shows all machines:")
	w.says("!started")
	chooses("3") // which machines
	w.hears(1, "separated by spaces")
	w.says("1")
	chooses("views")
	w.hears(3, "Enter alone goes back:")
	w.says("1")
	chooses("logs")
	w.hears(1, "reads those of all:")
	w.says("")
	w.hears(1, "reads all lines:")
	w.says("")
	w.hears(1, "GET /count 200 in 3 ms")
	w.says("")
	chooses("logs")
	w.hears(2, "reads those of all:")
	w.says("3")
	w.hears(2, "reads all lines:")
	w.says("gate")
	w.hears(2, "Enter ends that.")
	w.hears(2, "warning: 12:00:00.600 [warning] the gate was shut")
	w.says("")
	chooses("views")
	w.hears(4, "Enter alone goes back:")
	w.says("delete 2")
	chooses("views")
	w.hears(5, "Enter alone goes back:")
	w.says("delete 1")
	chooses("delete")
	chooses("apps")
	w.hears(1, "words of its name; Enter alone goes back:")
	w.says("shop")
	w.hears(1, "Several apps have that: 2, shop-admin; 3, shop-web.")
	w.says("web")
	w.over()
	if w.err != nil || w.app != "shop-web" {
		t.Errorf("ended for %q, %v", w.app, w.err)
	}
	if all, err := o.Views.List(); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	golden.RequireEqual(t, toldAgo.ReplaceAllString(w.text(), "told just now"))
}

// A filter is no selection: what is deployed to is named.
func TestAccessibleDeploysToWhatIsShownByTheirNames(t *testing.T) {
	var asked []engine.Request
	o := talkative()
	o.Backend.(*tuitest.Backend).OnDeploy = func(r engine.Request) (plain.Deployment, error) {
		asked = append(asked, r)
		before, watching, ended, end := tuitest.Watched(6)
		return tuitest.Confirmed(nil, slices.Concat(before, watching, ended), end), nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to ")
	w.says("filter")
	w.hears(1, "Enter alone shows all machines:")
	w.says("region:ams")
	w.hears(1, "3 of 7 machines shown, by the filter region:ams.")
	w.hears(2, "Choice (1 to ")
	if strings.Contains(w.text()[strings.Index(w.text(), "by the filter"):], "Deploy to all machines") {
		t.Errorf("all are offered beside a filter:\n%s", w.text())
	}
	w.says("deploy")
	w.hears(1, "Machines: 2 machines: 148e00026c1eef, 148e00016c0000\n")
	w.says("begin")
	w.hears(4, "Choice (1 to ")
	if len(asked) != 1 || !slices.Equal(asked[0].Select.Machines, []string{"148e00026c1eef", "148e00016c0000"}) {
		t.Errorf("%+v", asked)
	}
	w.hears(1, ", memory ") // which the deploy's machines have told
	w.hears(1, " crashes and ")
	w.says("quit")
	w.over()
}

func TestAccessibleSpeaksAtOnce(t *testing.T) {
	o := talkative()
	o.Wrong = []string{"console.toml:7: there is no action dploy"}
	asked, answer := make(chan struct{}), make(chan struct{})
	o.Backend.(*tuitest.Backend).OnOverview = func(context.Context) (engine.Overview, error) {
		close(asked)
		<-answer
		return tuitest.OverviewOf(1), nil
	}
	w := talkTo(t.Context(), t, o)
	<-asked
	if got := w.text(); got != "console.toml:7: there is no action dploy\nThere the console keeps its defaults.\ncounter, reading the fleet.\n" {
		t.Errorf("before the fleet has answered it says %q", got)
	}
	close(answer)
	w.hears(1, "Choice (1 to ")
	w.says("quit")
	w.over()
}

// Long logs begin with their last lines, what comes later follows, and an error is told.
func TestAccessibleLogsGoOn(t *testing.T) {
	all := tuitest.MachineLines(130)
	logs := &answers{batches: [][]engine.MachineLine{all[:100], all[100:]}}
	o := talkative()
	o.Logs = logs
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to ")
	w.says("logs")
	w.hears(1, "reads those of all:")
	w.says("9")
	w.hears(1, "There is no machine number 9.")
	w.hears(2, "Choice (1 to ")
	w.says("logs")
	w.hears(2, "reads those of all:")
	w.says("")
	w.hears(1, "reads all lines:")
	w.says("")
	w.hears(1, "The last 30 of 100 lines so far.")
	w.hears(1, "#129\n")
	w.hears(1, "Fly's logs do not answer")
	w.hears(3, "Choice (1 to ")
	w.says("quit")
	w.over()
	if text := w.text(); strings.Contains(text, "#69\n") || !strings.Contains(text, "#70\n") || !strings.Contains(text, "machine 148e00016c0000, error: ") {
		t.Errorf("other lines than the last:\n%s", text)
	}
}

// answers are those of logs, one after the other, then an error.
type answers struct{ batches [][]engine.MachineLine }

func (a *answers) Lines(context.Context, string, string) ([]engine.MachineLine, string, error) {
	if len(a.batches) == 0 {
		return nil, "", engine.NewProblem("logs", "Fly's logs do not answer", nil, "")
	}
	lines := a.batches[0]
	a.batches = a.batches[1:]
	return lines, "more", nil
}

func TestChoosingAnAppInWords(t *testing.T) {
	for typed, want := range map[string]string{"2\n": "shop-admin", "9\nnothing\ncron\n": "cron", "\n": "", "": ""} {
		var out bytes.Buffer
		app, err := plain.ChooseApp(t.Context(), plain.Options{Apps: someApps, Input: strings.NewReader(typed), Output: &out})
		if app != want || err != nil || !strings.Contains(out.String(), "app 1: counter, organisation demo, deployed, of this folder\n") {
			t.Errorf("%q: %q, %v\n%s", typed, app, err, out.String())
		}
		if strings.HasPrefix(typed, "9") && (!strings.Contains(out.String(), "There is no app number 9.") || !strings.Contains(out.String(), "No app is called so.")) {
			t.Errorf("%s", out.String())
		}
	}
	refused := errors.New("401")
	if _, err := plain.ChooseApp(t.Context(), plain.Options{Apps: func(context.Context) ([]engine.FlyApp, error) { return nil, refused }, Input: strings.NewReader(""), Output: io.Discard}); !errors.Is(err, refused) {
		t.Error(err)
	}
}
