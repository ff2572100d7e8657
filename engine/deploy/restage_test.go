package deploy

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
)

// scripted is a fleet of one machine, whose VM and agent answer as it is told.
type scripted struct {
	engine.Fleet
	id       string          // of the order that was given last
	noVM     bool            // no VM is found
	gone     bool            // the agent has ended
	findings []agent.Finding // of the next staging
	armed    int             // orders to arm
	expires  int             // so many commits come too late
	lost     bool            // no commit arrives
	state    agent.State
}

func (s *scripted) Exec(_ context.Context, _ string, command []string, stdin string, _ time.Duration) (agent.Output, error) {
	say := func(text string) (agent.Output, error) { return agent.Output{Stdout: text}, nil }
	switch {
	case strings.Contains(command[2], "FLYDEPLOY1 status"): // a call of the agent
		if err := s.obey(command[5]); err != nil {
			return agent.Output{}, err
		}
		if s.gone {
			return say("FLYDEPLOY1 gone\n")
		}
		status, _ := json.Marshal(agent.Status{V: 1, ID: s.id, Boot: "7-70", Seq: 1, State: s.state, Findings: s.findings})
		return say("FLYDEPLOY1 status\n" + string(status) + "\nFLYDEPLOY1 end\n")
	case strings.Contains(command[2], "FLYDEPLOY1 vm ") && s.noVM:
		return say("FLYDEPLOY1 begin\nFLYDEPLOY1 end\n")
	case strings.Contains(command[2], "FLYDEPLOY1 vm "):
		return say("FLYDEPLOY1 begin\nFLYDEPLOY1 vm 7 70\nRELEASE_ROOT=/app\nRELEASE_NAME=shop\nFLYDEPLOY1 end\n")
	case stdin == "":
		return say("FLYDEPLOY1 loaded {}\n")
	}
	s.id = orderedID(stdin)
	s.gone, s.state = false, agent.Staged
	return say(fmt.Sprintf(`FLYDEPLOY1 started {"id":%q,"state":"injected","dir":"/tmp/flydeploy-%s","boot":"7-70"}`+"\n", s.id, s.id))
}

func (s *scripted) obey(command string) error {
	switch {
	case command == "arm":
		s.armed++
		if s.state == agent.Staged {
			s.state = agent.Armed
		}
	case command == "commit" && s.lost:
		return agent.ErrUnknownOutcome
	case command == "commit" && s.expires > 0:
		s.expires--
		s.state = agent.Expired
	case command == "commit":
		s.state = agent.Committed
	case command == "abort" && s.state == agent.Armed:
		s.state = agent.Aborted
	}
	return nil
}

// orderedID reads the id out of an order as it is sent.
func orderedID(stdin string) string {
	compressed, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(stdin))
	r, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return ""
	}
	form, _ := io.ReadAll(r)
	order, _ := url.ParseQuery(string(form))
	return order.Get("id")
}

// anyTarball hands out an address for every tarball.
type anyTarball struct{ engine.Tarballs }

func (anyTarball) PresignGet(context.Context, string, time.Duration) (string, error) {
	return "https://bucket.example/tarball?signature", nil
}

// staged is a deploy to one machine, which is staged; its agent ends before it is armed.
func staged(t *testing.T) (*Pipeline, *Rollout, *scripted) {
	t.Helper()
	fleet := &scripted{}
	p := &Pipeline{
		settings: engine.Settings{Timeout: 5 * time.Second, MaxConcurrency: 1}, ports: Ports{Fleet: fleet}, rec: record.NewRecorder(record.NewFeed()), hurry: t.Context(),
		Target:  &target.Target{OTPApp: "shop", Storage: engine.Storage{Tarballs: anyTarball{}}},
		Upgrade: engine.Upgrade{ID: ulid.Make().String(), SHA256: strings.Repeat("0", 64), Size: 1},
	}
	r := &Rollout{Machine: engine.Machine{ID: "m1"}, attempt: 1}
	p.machines = []*Rollout{r}
	if err := p.each(t.Context(), p.machines, p.stageMachine); err != nil || r.status.State != agent.Staged {
		t.Fatalf("staging ended as %q: %v", r.status.State, err)
	}
	fleet.gone = true
	return p, r, fleet
}

// A VM that ends with its agent, and is not back when its machine is to be staged again, is no crash of ours.
func TestAMachineWithoutAVMCannotBeStagedAgain(t *testing.T) {
	t.Parallel()
	p, r, fleet := staged(t)
	fleet.noVM = true
	err := p.each(t.Context(), p.machines, p.armMachine)
	if !errors.Is(err, agent.ErrNoVM) || engine.AsProblem(err).Name != "no_vm" || r.problem == nil {
		t.Errorf("arming ended with %v, the machine's problem is %v", err, r.problem)
	}
}

// What a machine that is staged again has to say is not confirmed by the plan that was shown before.
func TestANewBlockerOfAMachineThatIsStagedAgain(t *testing.T) {
	t.Parallel()
	found := []agent.Finding{{Name: "slow_rollback", Severity: "block", Subject: "rollback", Detail: "takes 5 s"}}

	p, r, fleet := staged(t)
	fleet.findings = found
	err := p.each(t.Context(), p.machines, p.armMachine)
	var blocked *blockedError
	if !errors.As(err, &blocked) || r.problem == nil || fleet.armed != 1 {
		t.Errorf("arming ended with %v after %d orders to arm, the machine's problem is %v", err, fleet.armed, r.problem)
	}

	p, _, fleet = staged(t)
	p.accepted, fleet.findings = []string{"slow_rollback"}, found
	if err := p.each(t.Context(), p.machines, p.armMachine); err != nil || fleet.armed != 2 {
		t.Errorf("accepted: arming ended with %v after %d orders to arm", err, fleet.armed)
	}
}

// Of many machines the first may expire before the last is armed.
func TestAMachineThatExpiredBeforeItsCommitIsArmedAgain(t *testing.T) {
	t.Parallel()
	p, r, fleet := staged(t)
	fleet.gone, fleet.expires = false, 1
	r.verified, r.recorded = true, true // what follows a commit is not asked for here
	if err := p.commitWave(t.Context(), wave{1, 1, p.machines}); err != nil || r.outcome() != "committed" || r.attempt != 2 || r.problem != nil {
		t.Errorf("ended as %s after %d attempts: %v, %v", r.outcome(), r.attempt, err, r.problem)
	}

	p, r, fleet = staged(t)
	fleet.gone, fleet.expires = false, 2
	if err := p.commitWave(t.Context(), wave{1, 1, p.machines}); err == nil || r.outcome() != "expired" || r.attempt != 2 || r.problem == nil {
		t.Errorf("again too late: %s after %d attempts: %v, %v", r.outcome(), r.attempt, err, r.problem)
	}
}

// A machine that did not get its commit is taken back, and its end is known: nobody waits for what may still happen.
func TestACommitThatNeverCameIsTakenBack(t *testing.T) {
	t.Parallel()
	p, r, fleet := staged(t)
	fleet.gone, fleet.lost, p.settings.Timeout = false, true, time.Second
	if err := p.commitWave(t.Context(), wave{1, 1, p.machines}); err == nil || r.outcome() != outcomeUnknown {
		t.Fatalf("without an answer: %s, %v", r.outcome(), err)
	}
	p.resolve(t.Context())
	if r.outcome() != engine.OutcomeAborted {
		t.Errorf("it ended as %s", r.outcome())
	}
}

// stoppedBySignal is a cause of the operator's that the engine does not know.
type stoppedBySignal struct{}

func (stoppedBySignal) Error() string        { return "stopped by a signal" }
func (stoppedBySignal) Is(target error) bool { return target == context.Canceled }

// Whoever stops a deploy, by a key or by a signal: no machine has failed.
func TestAStopIsNoMachinesFailure(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{errStopped, stoppedBySignal{}, context.Canceled} {
		p, r, _ := staged(t)
		ctx, stop := context.WithCancelCause(t.Context())
		stop(cause)
		err := p.withTimeout(ctx, func(ctx context.Context) error { return ctx.Err() })
		if err := p.fail(r, engine.PhaseArm, err); !errors.Is(err, cause) || r.problem == nil {
			t.Errorf("%v: ended with %v, the machine's problem is %v", cause, err, r.problem)
		}
		if ph := p.rec.Progress.Machine("m1").Phases[engine.PhaseArm]; ph.Status == engine.StatusFailed {
			t.Errorf("%v: the machine is told as failed", cause)
		}
	}
}
