package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/examples/counter"
	"flydeploy/fly/local"
)

// shortTrial is the shortest that a deploy takes whose machines are watched for killedBake.
const shortTrial = time.Minute + killedBake

// What becomes of trials on real nodes. They take minutes: `make faults` runs them, all or those whose names CELLS matches.
func TestFaultsOfATrial(t *testing.T) {
	chosen := os.Getenv("FLYDEPLOY_FAULTS")
	if chosen == "" {
		t.Skip("make faults")
	}
	for name, test := range map[string]func(*testing.T){
		"a trial of a killed console": trialOfAKilledConsole, "a trial that is confirmed": trialThatIsConfirmed,
	} {
		t.Run(name, func(t *testing.T) {
			if !regexp.MustCompile(chosen).MatchString(name) {
				t.Skip("not asked for")
			}
			t.Parallel()
			test(t)
		})
	}
}

// A console is killed while it watches an upgrade on trial. A machine that restarts meanwhile, and one whose VM dies, boot the image at once; one
// that nothing outside can reach any more, and one that nothing happens to, do so when their time is over.
func trialOfAKilledConsole(t *testing.T) {
	w := newWorld(t, 4)
	w.killConsole(orders{API: w.local.APIURL(), Token: w.local.Token(), Image: w.push(2), LockTimeout: 10 * time.Second, Trial: shortTrial}, w.allAreWatched())
	restarted, dead, silent, left := w.ids[0], w.ids[1], w.ids[2], w.ids[3]
	for _, id := range w.ids {
		w.expectVersion(id, "2.0.0")
	}
	lift := w.local.Faults().Inject(local.Target{Service: local.API, Subject: silent}, 0, local.Cut())
	w.restartByItself(restarted)
	if err := w.local.Crash(dead); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{restarted, dead} {
		w.awaitBoot(id)
		w.expectVersion(id, "1.0.0")
	}
	for _, id := range []string{silent, left} {
		w.expectVersion(id, "2.0.0")
	}
	w.awaitVersion(left, "1.0.0")
	w.awaitVersion(silent, "1.0.0")
	lift()
	for _, id := range []string{silent, left} {
		w.expectVersion(id, "1.0.0")
		if log := w.local.Console(id); strings.Count(log, "nobody has confirmed the upgrade that was on trial") != 1 {
			t.Errorf("machine %s does not say why:\n%s", id, log)
		}
	}
	if md := w.current(); md.NamesUpgrades() {
		t.Errorf("current.json names %+v, %+v", md.HotUpgrade, md.MachineUpgrades)
	}
	s := settings()
	s.LockWait = 5 * time.Minute
	if p, r := w.deploy(s, 2); r.Outcome != engine.OutcomeSucceeded {
		t.Errorf("the next deploy: %s, %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.expectNothingLeft()
}

// allAreWatched is true once the console has told of every machine that it is watched.
func (w *world) allAreWatched() func(engine.Event) bool {
	watched := map[string]bool{}
	return func(e engine.Event) bool {
		if e.Phase == engine.PhaseWatch && e.Status == engine.StatusRunning && e.Machine != "" {
			watched[e.Machine] = true
		}
		return len(watched) == len(w.ids)
	}
}

// awaitVersion waits until a machine runs a version.
func (w *world) awaitVersion(id, version string) {
	w.t.Helper()
	for deadline := time.Now().Add(shortTrial + 10*time.Minute); ; time.Sleep(time.Second) { // its VM ends by itself, and nothing tells of it
		s, err := w.client(id).Snapshot(w.t.Context())
		if err == nil && s.Versions.Version == version {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("machine %s does not run %s: %+v, %v\n%s", id, version, s.Versions, err, w.local.Console(id))
		}
	}
}

// A trial that another console confirms runs on when its time is over, with all states, and is what its machines boot.
func trialThatIsConfirmed(t *testing.T) {
	w := newWorld(t, 2)
	s := settings()
	s.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: killedBake, Trial: shortTrial}
	p, r := w.deploy(s, 2)
	if r.Outcome != engine.OutcomeSucceeded || r.Trial == nil || w.current().NamesUpgrades() {
		t.Fatalf("outcome %s, on trial %+v: %v\n%s", r.Outcome, r.Trial, r.Problem, logOf(p))
	}
	w.restartByItself(w.ids[0])
	w.expectVersion(w.ids[0], "1.0.0")
	if _, err := w.client(w.ids[1]).Increment(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	before := w.snapshot(w.ids[1])
	end := settings()
	end.EndTrial, end.Owner = engine.TrialConfirmed, "bob@desk"
	p, confirmed := w.deploy(end, 2)
	if confirmed.Outcome != engine.OutcomePartial || machineOf(confirmed, w.ids[1]).Outcome != engine.OutcomeUpToDate {
		t.Errorf("outcome %s (%s): %v\n%s", confirmed.Outcome, outcomes(confirmed), confirmed.Problem, logOf(p))
	}
	time.Sleep(time.Until(r.Trial.End().Add(20 * time.Second))) // its VM would have stopped by then
	after := w.expectVersion(w.ids[1], "2.0.0")
	if c := counter.Compare(before, after, counter.Done{}); !c.PidsUnchanged || !c.CountsUnchanged {
		t.Errorf("it has not run on: %+v", c)
	}
	w.restart(w.ids[1])
	w.expectVersion(w.ids[1], "2.0.0")
	w.expectVersion(w.ids[0], "1.0.0")
	w.expectNothingLeft()
}
