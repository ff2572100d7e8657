package tui

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// thoughtful is a deploy of six machines that fails, whose operator thought about the plan for four minutes, in which the lock was
// renewed and the build's log went on.
func thoughtful() []engine.Event {
	before, after, _ := tuitest.RolledBack(6)
	asked := before[len(before)-1].At
	for i := range 8 {
		e := engine.Event{Phase: engine.PhaseStage, Log: "still there", At: asked.Add(time.Duration(i+1) * 25 * time.Second)}
		e.Seq = before[len(before)-1].Seq + 1
		before = append(before, e)
	}
	for i := range after {
		after[i].At = after[i].At.Add(4 * time.Minute)
		if !after[i].StartedAt.IsZero() {
			after[i].StartedAt = after[i].StartedAt.Add(4 * time.Minute)
		}
	}
	return append(before, after...)
}

func (b *bench) replays(events []engine.Event) *replay {
	backendOf(b.opts).OnEvents = func(context.Context, string) ([]engine.Event, *engine.Result, error) { return events, nil, nil }
	return b.replaying()
}

func TestSeekBarScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.replays(thoughtful())
		b.keys("e")
		b.golden()
	})
}

// What an operator took is skipped but for a second, whatever came in meanwhile; all else is played.
func TestAReplaySkipsTheTimeOfAHuman(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	r := b.replays(thoughtful())
	if n := len(r.track.skips); n != 1 {
		t.Fatalf("skips %v", r.track.skips)
	}
	if whole, played := r.end().Sub(r.begin()), r.track.length(); whole-played < 4*time.Minute-2*waitShown || whole-played > 4*time.Minute {
		t.Errorf("%s of %s are played", played, whole)
	}
	planned := func() bool { return b.watched.progress.Asks() == engine.QuestionPlan }
	for !planned() {
		b.pass(busyTick)
	}
	var shown time.Duration
	for ; planned(); shown += busyTick {
		b.pass(busyTick)
	}
	if shown < waitShown-2*busyTick || shown > waitShown+2*busyTick {
		t.Errorf("the plan stood for %s", shown)
	}
	at := r.at
	b.keys("left", "right")
	if r.at != at {
		t.Errorf("ten seconds to and fro across the wait lead from %s to %s", at.Sub(r.begin()), r.at.Sub(r.begin()))
	}
}

// An unanswered plan, and long work without a word, are skipped, too.
func TestWhatATrackSkips(t *testing.T) {
	s := tuitest.NewScript(2)
	s.Start()
	s.Stage()
	begin := s.Events[0].At
	s.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: s.Plan()})
	asked := s.Events[len(s.Events)-1].At
	s.Emit(engine.Event{Phase: engine.PhasePlan, Log: "x"})
	s.Events[len(s.Events)-1].At = asked.Add(time.Hour)
	track := newTrack(s.Events)
	if want := []skip{{asked.Add(waitShown), asked.Add(time.Hour)}}; !slices.Equal(track.skips, want) {
		t.Errorf("skips %v, want %v", track.skips, want)
	}
	for _, at := range []time.Time{begin, asked, asked.Add(waitShown / 2), track.end} {
		if again := track.at(track.played(at)); at.Before(track.skips[0].from) && again != at || again.Before(at) {
			t.Errorf("%s is played at %s", at, again)
		}
	}
	s.Events = s.Events[:len(s.Events)-2]
	s.Emit(engine.Event{Phase: engine.PhaseStage, Log: "done"})
	last := s.Events[len(s.Events)-2].At
	s.Events[len(s.Events)-1].At = last.Add(time.Minute)
	if got, want := newTrack(s.Events).skips, []skip{{last, last.Add(time.Minute - skipIdle)}}; !slices.Equal(got, want) {
		t.Errorf("skips %v, want %v", got, want)
	}
}

func TestJumpsInAReplay(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	r := b.replays(thoughtful())
	phase := func() string { p, _ := b.watched.running(); return p.Title() }
	var seen []string
	for range 20 {
		at := r.at
		b.keys("]")
		if r.at == at {
			break
		}
		seen = append(seen, phase())
	}
	want := []string{"Build", "Orchestrator", "Tarball", "Upload", "Stage", "Plan", "Commit", "Commit", "Commit"} // it has failed there: Results, Unlock
	if !slices.Equal(seen, want) {
		t.Errorf("phases %q, want %q", seen, want)
	}
	b.shows("No phase begins after this")
	b.pass(noticeStays + time.Second)
	b.keys("[", "[")
	if phase() != "Commit" || b.watched.progress.Fleet[engine.PhaseCommit].Status != engine.StatusRunning {
		t.Errorf("back at %s", phase())
	}
	b.keys("[")
	if phase() != "Plan" {
		t.Errorf("back at %s", phase())
	}
	b.keys("down", "down", "e")
	if m := b.watched.board.current().m; m.State != engine.MachineRolledBack || !r.paused {
		t.Errorf("at the failure: the cursor is on %s, %s, paused: %t", m.ID, m.State, r.paused)
	}
	b.shows("paused", "rolled back")
	failed := r.at
	b.keys("e") // the fleet's commit
	if !r.at.After(failed) {
		t.Error("there is no second failure")
	}
	b.keys("e")
	b.shows("No failure comes after this")
	b.keys("E")
	if r.at != failed {
		t.Error("the failure before is elsewhere")
	}
}

func TestTheSeekBarIsClicked(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	r := b.replays(thoughtful())
	row := slices.IndexFunc(strings.Split(b.text(), "\n"), func(row string) bool { return strings.Contains(row, "●┼") })
	for x, want := range map[int]time.Duration{1: 0, 40: r.track.length() / 2, 78: r.track.length()} {
		b.send(tea.MouseClickMsg{Button: tea.MouseLeft, X: x, Y: row})
		if got := r.track.played(r.at); (got - want).Abs() > r.track.length()/70 {
			t.Errorf("a click on cell %d leads to %s, want %s", x, got, want)
		}
		if line := strings.Split(b.text(), "\n")[row]; !strings.HasPrefix(string([]rune(line)[x:]), "●") {
			t.Errorf("the bar does not stand where it was clicked: %q", line)
		}
	}
}
