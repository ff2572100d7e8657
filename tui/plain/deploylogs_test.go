package plain_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// spoken are logs to which lines can be added; while refuse is set they do not answer.
type spoken struct {
	mu     sync.Mutex
	logs   tuitest.Logs
	refuse error
}

func (s *spoken) Lines(ctx context.Context, machine, from string) ([]engine.MachineLine, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, "", s.refuse
	}
	return s.logs.Lines(ctx, machine, from)
}

func (s *spoken) adds(lines ...engine.MachineLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs.All = append(s.logs.All, lines...)
}

// What machines print is heard during a deploy, too, and the question that waits is asked again after it.
func TestAccessibleLogsOfADeploy(t *testing.T) {
	logs := &spoken{logs: tuitest.Logs{All: tuitest.MachineLines(40)}}
	before, _, _ := tuitest.Upgraded(6)
	p := tuitest.Play(before, nil, engine.Result{Outcome: engine.OutcomeCancelled})
	o := talkative()
	o.StartDeploy, o.Logs = true, logs
	o.Backend.(*tuitest.Backend).OnDeploy = func(engine.Request) (plain.Deployment, error) { return p, nil }
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Logs of the machines: type logs at any time.")
	w.hears(1, "Choice (1 to 4): ")
	w.says("logs")
	w.hears(1, "Logs of all machines follow.\nChoice (1 to 4): ")
	w.hears(1, "The last 30 of 40 lines so far.\n")
	w.hears(1, "machine 148e00016c0000, error: ** (KeyError) key :limit not found in: %{count: 3} #38\n")
	w.hears(3, "Choice (1 to 4): ")
	logs.adds(engine.MachineLine{At: tuitest.Start, Machine: "148e00026c1eef", Text: "one more"})
	w.hears(1, "Choice (1 to 4): \n12:00:00, machine 148e00026c1eef, one more\nChoice (1 to 4): ")

	w.says("Logs 70")
	w.hears(1, "There is no machine number 70. Logs of the machines: type logs")
	w.says("logs 2 errors")
	w.hears(1, "Logs of 148e00026c1eef, only errors follow.\n")
	logs.adds(engine.MachineLine{At: tuitest.Start, Machine: "148e00026c1eef", Text: "all is well"}, engine.MachineLine{At: tuitest.Start, Machine: "148e00026c1eef", Text: "[error] it is not"})
	w.hears(1, "12:00:00, error: [error] it is not\n")
	w.says("logs 148e00036c3dde /東京")
	w.hears(1, "Logs of 148e00036c3dde, with 東京 follow.\n")
	w.hears(1, "12:00:00, counted 東京 to 12,006 #6\n")
	w.says("logs off")
	w.hears(1, "No more logs.\nChoice (1 to 4): ")
	if len(p.Given()) > 0 {
		t.Errorf("the deploy was answered %+v", p.Given())
	}
	w.says("1")
	w.over()
	if text := w.text(); strings.Contains(text, "all is well") || strings.Contains(text, "Please type") {
		t.Errorf("it tells what was not wanted, or does not understand:\n%s", text)
	}
	if got := p.Given(); len(got) != 1 || got[0].Proceed {
		t.Errorf("answers %+v", got)
	}
}

// After the commit they begin with it; logs that do not answer are said so once, and asked again.
func TestAccessibleLogsSinceTheCommit(t *testing.T) {
	o := talkative()
	s := tuitest.NewScript(2)
	s.Start()
	s.Stage()
	s.Confirmed(s.Plan())
	began := s.Events[len(s.Events)-1].At.Add(time.Second)
	s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, StartedAt: began, Asks: engine.QuestionSick,
		Ways: []engine.Way{engine.WayStop, engine.WayBack}, Problem: engine.NewProblem("unhealthy", "it is not well", nil, "")})
	logs := &spoken{logs: tuitest.Logs{All: []engine.MachineLine{
		{At: began.Add(-time.Second), Machine: "148e00016c0000", Text: "before it"}, {At: began.Add(time.Second), Machine: "148e00016c0000", Text: "[error] since then"},
	}}}
	o.StartDeploy, o.Logs = true, logs
	o.Backend.(*tuitest.Backend).OnDeploy = func(engine.Request) (plain.Deployment, error) {
		return tuitest.Play(s.Events, nil, engine.Result{Outcome: engine.OutcomeUnhealthy}), nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 2): ")
	w.says("logs")
	w.hears(1, "Logs of all machines, since the commit at "+began.Local().Format(time.TimeOnly)+" follow.\n")
	w.hears(1, "machine 148e00016c0000, error: [error] since then\nChoice (1 to 2): ")
	logs.mu.Lock()
	logs.refuse = engine.NewProblem("logs", "Fly's logs do not answer", nil, "Wait.")
	logs.mu.Unlock()
	w.hears(1, "\nFly's logs do not answer\n-> Wait.\nChoice (1 to 2): ")
	w.says("2")
	w.over()
	if strings.Contains(w.text(), "before it") {
		t.Errorf("it tells what was before:\n%s", w.text())
	}
}
