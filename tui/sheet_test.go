package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// requestRecorder gives Options whose Deploy keeps what was asked for.
func requestRecorder(asked *[]engine.Request) Options {
	return Options{App: "counter", Backend: &tuitest.Backend{OnDeploy: func(r engine.Request) (plain.Deployment, error) {
		*asked = append(*asked, r)
		return tuitest.Play(nil, nil, engine.Result{}), nil
	}}}
}

func TestSheetScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.send(b.do("d"))
		b.golden()
	})
}

func TestNothingBeginsBeforeTheSheetIsConfirmed(t *testing.T) {
	var asked []engine.Request
	b := newBench(t, size{120, 40}, requestRecorder(&asked))
	b.sees(6)
	facts := b.do("d")
	b.shows("Looking at what would be deployed...", "all 6 machines")
	b.do("enter")
	b.send(facts)
	b.shows("a build of counter/fly.toml", "4f2c91a7d2  The new counter", "(with changes that are not", "all at once, watched for 10s")
	b.do("d")
	b.do("esc")
	if len(asked) != 0 || b.sheet != nil || b.deploy != nil {
		t.Fatalf("asked for %+v", asked)
	}
	b.begins("d")
	if len(asked) != 1 || asked[0].Chosen == nil || *asked[0].Chosen != (engine.Choices{}) {
		t.Fatalf("asked for %+v, want what the command line says", asked)
	}
}

func TestTheSheetChooses(t *testing.T) {
	var asked []engine.Request
	b := newBench(t, size{80, 24}, requestRecorder(&asked))
	b.sees(6)
	b.keys("space")
	b.send(b.do("d"))
	b.keys("right", "right") // strategy: canary, which is watched longer
	b.shows("‹ canary: ", "for 30s after the commit")
	b.keys("down", "right", "down")
	b.shows("for 1m after the commit")
	b.types("the new cart")
	b.keys("left", "left", "left", "left", "left", "backspace")
	b.types("/")
	b.do("enter")
	chosen := asked[0].Chosen
	if len(asked) != 1 || chosen.Kind != engine.StrategyCanary || chosen.Bake == nil || *chosen.Bake != time.Minute || chosen.Message != "the ne/ cart" || len(asked[0].Select.Machines) != 1 || asked[0].Resume || asked[0].To != "" {
		t.Fatalf("asked for %+v (%+v)", asked, chosen)
	}
}

func TestTheSheetKeepsTheCommandLinesWaves(t *testing.T) {
	var asked []engine.Request
	o := requestRecorder(&asked)
	backendOf(o).OnSheet = func(context.Context) (engine.Sheet, error) {
		return engine.Sheet{Strategy: engine.Strategy{Kind: "1,50%,100%", Bake: 20 * time.Second}}, nil
	}
	b := newBench(t, size{80, 24}, o)
	b.sees(6)
	b.send(b.do("d"))
	b.shows("1,50%,100%: ", "for 20s after")
	b.do("enter")
	if len(asked) != 1 || *asked[0].Chosen != (engine.Choices{}) {
		t.Fatalf("asked for %+v", asked)
	}
}

func TestTheSheetTellsWhatItCouldNotFindOut(t *testing.T) {
	o := requestRecorder(new([]engine.Request))
	b := newBench(t, size{80, 24}, o)
	b.sees(6)
	b.do("d")
	b.send(sheetMsg{of: b.sheet, err: errors.New("fly.toml is broken")})
	b.shows("fly.toml is broken")
}

func TestAnUnfinishedDeployIsFinishedByAKey(t *testing.T) {
	var asked []engine.Request
	b := newBench(t, size{120, 40}, requestRecorder(&asked))
	b.sees(6)
	b.keys("space")
	b.begins("d")
	end := tuitest.NewScript(6).Result(engine.OutcomePartial)
	b.hears(nil, &end)
	b.send(b.do("d"))
	b.shows("‹ finish this deploy, with what it has built ›", "those of that deploy", "strategy   as that deploy")
	b.do("enter")
	if len(asked) != 2 || !asked[1].Resume || asked[1].Meant != end.Upgrade.ID {
		t.Fatalf("asked for %+v, want the last one to be finished", asked)
	}
	b.hears(nil, &end)
	b.send(b.do("d"))
	b.keys("right")
	b.shows("‹ a build of counter/fly.toml ›")
	b.do("enter")
	if len(asked) != 3 || asked[2].Resume || len(asked[2].Select.Machines) != 1 {
		t.Fatalf("asked for %+v, want a new one", asked)
	}
}

func TestMarksStayUntilASuccess(t *testing.T) {
	b := newBench(t, size{120, 40}, requestRecorder(new([]engine.Request)))
	b.sees(6)
	b.keys("space")
	for _, test := range []struct {
		outcome engine.Outcome
		marked  int
	}{{engine.OutcomeFailed, 1}, {engine.OutcomeCancelled, 1}, {engine.OutcomeSucceeded, 0}} {
		b.begins("d")
		end := tuitest.NewScript(6).Result(test.outcome)
		b.hears(nil, &end)
		b.keys("esc")
		if got := len(b.fleet.marked); got != test.marked {
			t.Errorf("%d marked after a deploy that %s, want %d", got, test.outcome, test.marked)
		}
	}
}

func TestADeployOfTheRecordIsDeployedAgain(t *testing.T) {
	var asked []engine.Request
	b := newBench(t, size{120, 40}, requestRecorder(&asked))
	b.sees(6)
	b.records()
	b.keys("d") // that one still runs
	if b.sheet != nil {
		t.Fatal("a deploy that runs is offered again")
	}
	b.keys("down")
	b.send(b.do("d"))
	b.shows("‹ the code of deploy " + tuitest.UpgradeID + ", 0.2.0 ›")
	b.do("enter")
	if len(asked) != 1 || asked[0].To != tuitest.UpgradeID || b.past != nil {
		t.Fatalf("asked for %+v", asked)
	}
}

func TestAPlanWhoseEndWasNotSeenIsAskedAboutAgain(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{})
	p := b.deploys(before, nil)
	b.shows("· 1–13 of 36 ↓", "↓ 23 lines not seen yet")
	b.keys("D", "enter") // the focus is on going to the end
	b.shows("· 24–36 of 36 ↑", "! 1 warning above")
	if len(p.Given()) != 0 {
		t.Fatalf("answers %+v before the plan was read", p.Given())
	}
	b.keys("g", "D")
	if len(p.Given()) != 1 || !p.Given()[0].Proceed {
		t.Fatalf("answers %+v, want the plan confirmed once its end was seen", p.Given())
	}

	b = newBench(t, size{80, 24}, Options{})
	p = b.deploys(before, nil)
	b.keys("D", "D")
	if len(p.Given()) != 0 {
		t.Fatal("the key that opens the question answers it")
	}
	b.keys("y")
	if len(p.Given()) != 1 || !p.Given()[0].Proceed {
		t.Fatalf("answers %+v, want the plan confirmed", p.Given())
	}
}

func TestThePaletteMatchesLoosely(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.sees(6)
	b.keys(":")
	b.types("dply")
	b.shows("deploy")
	b.hides("no such command")
}

// Of many machines two rows name some; how many more there are stays in one piece.
func TestTheSheetNamesManyMachinesInTwoRows(t *testing.T) {
	for _, s := range sizes {
		b := newBench(t, s, Options{})
		b.sees(1000)
		b.send(b.do("d"))
		rows := strings.Split(b.text(), "\n")
		at := slices.IndexFunc(rows, func(row string) bool { return strings.Contains(row, "machines   all 1,000 machines: 148e") })
		if at < 0 && s.h > 16 || at >= 0 && !strings.Contains(rows[at+1], " and 99") {
			t.Errorf("at %s:\n%s", s, b.text())
		}
	}
}

// What was taken back, since it was not well, is not offered to be finished.
func TestWhatWasTakenBackIsNotToBeFinished(t *testing.T) {
	b := newBench(t, size{120, 40}, requestRecorder(new([]engine.Request)))
	b.sees(6)
	b.begins("d")
	end := tuitest.NewScript(2).Result(engine.OutcomeUnhealthy)
	end.Machines = []engine.MachineResult{{ID: "a", Outcome: engine.OutcomeTakenBack}, {ID: "b", Outcome: engine.OutcomeAborted}}
	b.hears(nil, &end)
	b.shows("d deploy again")
	b.send(b.do("d"))
	b.hides("finish this deploy")
	b.keys("esc")
	end.Machines[1].Outcome = engine.OutcomeCommitted
	b.hears(nil, &end)
	b.shows("d finish it")
}
