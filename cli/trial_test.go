package cli

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"flydeploy/engine"
)

const flyToml = "app = \"shop\"\n"

func TestTheTimeOfATrial(t *testing.T) {
	d, err := load(t, map[string]string{"fly.toml": flyToml}, "--trial", "10m")
	if err != nil || d.engine.Strategy.Trial != 10*time.Minute || !d.engine.StrategyGiven.Trial {
		t.Errorf("%+v, %v", d.engine.Strategy, err)
	}
	for _, args := range []string{"--trial 30s", "--trial 25h", "--trial -1m", "--trial 10m --or-cold"} {
		if _, err := load(t, map[string]string{"fly.toml": flyToml}, strings.Fields(args)...); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}

// confirm has few of the options that a deploy has: what it does not have is as if nobody had given it.
func TestACommandWithFewOptionsHasTheDefaultsOfAll(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("fly.toml", []byte(flyToml), 0o600); err != nil {
		t.Fatal(err)
	}
	few := defaultDeploy()
	if err := few.load(&cobra.Command{}); err != nil {
		t.Fatal(err)
	}
	all, err := load(t, map[string]string{"fly.toml": flyToml})
	if err != nil || !reflect.DeepEqual(few.engine, all.engine) {
		t.Errorf("%+v, %v, want %+v", few.engine, err, all.engine)
	}
}

func TestStatusAndHistoryTellATrial(t *testing.T) {
	now := time.Now()
	trial := &engine.Trial{ID: "01T", Version: "2.1.0", Machines: map[string]engine.MachineTrial{"a1": {ID: "01T", Until: now.Add(9 * time.Minute)}}}
	until := "2.1.0 is on trial on 1 machine until " + now.Add(9*time.Minute).Format("15:04") + ", not confirmed"
	o := engine.Overview{
		App: "shop", At: now, Metadata: &engine.Metadata{}, Trial: trial, Machines: []engine.Machine{{ID: "a1", State: engine.StateStarted}},
		Code: map[string]engine.MachineCode{"a1": {OnTrial: "01T", Hook: engine.HookCalled}},
	}
	var status, history strings.Builder
	if err := printStatus(&status, o); err != nil || !strings.Contains(status.String(), "trial: "+until) || !strings.Contains(status.String(), "  trial  ") {
		t.Errorf("%v\n%s", err, status.String())
	}
	past := []engine.Past{
		{ID: "01U", Outcome: engine.OutcomeSucceeded, TrialEnd: engine.TrialConfirmed, Tried: "01A"},
		{ID: "01V", Outcome: engine.OutcomeSucceeded, TrialEnd: engine.TrialTakenBack},
		{ID: "01W", Outcome: engine.OutcomePartial, TrialEnd: engine.TrialConfirmed},
		{ID: "01T", Outcome: engine.OutcomeSucceeded, Trial: trial},
	}
	if err := printHistory(&history, past); err != nil {
		t.Fatal(err)
	}
	for i, word := range []string{"confirmed", "taken back", "partial", "on trial"} {
		if line := strings.Split(history.String(), "\n")[i+1]; !strings.Contains(line, "  "+word+"  ") {
			t.Errorf("want %q in %q", word, line)
		}
	}
}

func TestWithdrawTellsWhatIsOnTrial(t *testing.T) {
	var md engine.Metadata
	if told := onTrial(md); told != "" {
		t.Error(told)
	}
	md.AddTrial(engine.Trial{Version: "2.1.0", SHA256: "a", Machines: map[string]engine.MachineTrial{"a1": {Until: time.Now().Add(time.Hour)}}})
	if told := onTrial(md); !strings.Contains(told, "2.1.0 is on trial") {
		t.Error(told)
	}
}
