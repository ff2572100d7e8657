package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func trialOn(sha256 string, until time.Time, ids ...string) Trial {
	t := Trial{ID: "01" + sha256, Version: sha256, SHA256: sha256, Machines: map[string]MachineTrial{}}
	for i, id := range ids {
		t.Machines[id] = MachineTrial{ID: t.ID, Until: until.Add(time.Duration(i) * time.Minute)}
	}
	return t
}

// The field is ours; all others stay as they were.
func TestATrialInTheRecord(t *testing.T) {
	now := time.Now()
	md := Metadata{Extra: map[string]json.RawMessage{"theirs": json.RawMessage(`1`)}}
	if md.Trial() != nil {
		t.Error("nothing is on trial")
	}
	md.AddTrial(trialOn("a", now, "m1", "m2"))
	md.AddTrial(trialOn("a", now.Add(time.Hour), "m3"))
	got := md.Trial()
	if len(got.Machines) != 3 || !got.Until().Equal(now) || !got.End().Equal(now.Add(time.Hour)) || got.Over(now.Add(time.Minute)) || !got.Over(now.Add(2*time.Hour)) {
		t.Errorf("%+v", got)
	}
	md.EndTrial("m1", "unknown")
	if got := md.Trial(); len(got.Machines) != 2 || got.Machines["m2"].ID != "01a" {
		t.Errorf("%+v", got)
	}
	md.AddTrial(trialOn("b", now.Add(time.Hour), "m4")) // of another upgrade
	if got := md.Trial(); len(got.Machines) != 1 || got.Version != "b" {
		t.Errorf("%+v", got)
	}
	md.EndTrials(now)
	if md.Trial() == nil {
		t.Error("it is not over")
	}
	md.EndTrials(now.Add(2 * time.Hour))
	if md.Trial() != nil || len(md.Extra) != 1 {
		t.Errorf("%v", md.Extra)
	}
	md.Extra["trial"] = json.RawMessage(`"nonsense"`)
	if md.Trial() != nil {
		t.Error("nonsense is on trial")
	}
}

func TestATrialInWords(t *testing.T) {
	now := time.Now()
	trial := trialOn("2.1.0", now.Add(10*time.Minute), "m1", "m2")
	if got, want := trial.Describe(now), "2.1.0 is on trial on 2 machines until "+now.Add(10*time.Minute).Format("15:04")+", not confirmed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := trial.Describe(now.Add(time.Hour)), "the trial of 2.1.0 on 2 machines ended at "+now.Add(11*time.Minute).Format("15:04")+", not confirmed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := trial.Describe(now.Add(-48 * time.Hour)); !strings.Contains(got, now.Add(10*time.Minute).Format("15:04 on 2006-01-02")) {
		t.Errorf("%q", got)
	}
}

// A resumed deploy is on trial as the one that it resumes, unless this call says something else.
func TestATrialIsResumed(t *testing.T) {
	earlier := Strategy{Kind: StrategyCanary, Bake: time.Minute, Trial: 10 * time.Minute}
	now := Strategy{Kind: StrategyAll, Bake: 10 * time.Second}
	if got := now.Resuming(earlier, StrategyGiven{}); got != earlier {
		t.Errorf("%+v", got)
	}
	if got := now.Resuming(earlier, StrategyGiven{Kind: true}); got != (Strategy{Kind: StrategyAll, Bake: 10 * time.Second, Trial: 10 * time.Minute}) {
		t.Errorf("%+v", got)
	}
	now.Trial = time.Hour
	if got := now.Resuming(earlier, StrategyGiven{Trial: true}); got.Trial != time.Hour || got.Bake != time.Minute {
		t.Errorf("%+v", got)
	}
	if words := earlier.Describe(3); !strings.HasSuffix(words, ", on trial for 10m") {
		t.Error(words)
	}
}

// The machines of one trial are added and taken out at once: a large fleet's record is written again and again.
func TestAddTrials(t *testing.T) {
	var md Metadata
	var parts []Trial
	for _, id := range []string{"m1", "m2", "m3"} {
		parts = append(parts, Trial{ID: "01A", SHA256: "ab", Machines: map[string]MachineTrial{id: {ID: "01A", Until: time.Now()}}})
	}
	md.AddTrials(parts[:1])
	md.AddTrials(parts[1:])
	if got := md.Trial(); got == nil || len(got.Machines) != 3 {
		t.Errorf("on trial: %+v", got)
	}
	md.AddTrials(nil)
	md.EndTrial("m1", "m3", "nobody")
	if got := md.Trial(); got == nil || len(got.Machines) != 1 || got.Machines["m2"].ID != "01A" {
		t.Errorf("on trial: %+v", got)
	}
	if md.EndTrial("m2"); md.Trial() != nil {
		t.Error("it is still on trial")
	}
}
