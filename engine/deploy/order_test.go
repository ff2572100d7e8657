package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
)

// deployJSON is what deploy.json says of a deploy.
func (s *stage) deployJSON(id string) (d struct {
	Outcome engine.Outcome
	Running bool
}) {
	_ = json.Unmarshal(s.Object(agenttest.ResultKey(id, "deploy.json")), &d)
	return d
}

// One console's clock is ten minutes ahead: what it deployed is still older than what was deployed after it.
func TestTheOrderOfDeploysIsTheBuckets(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		old := &run{t: t, Deployment: deploy.Start(t.Context(), asking(), s.portsAhead(10*time.Minute)), p: engine.NewProgress()}
		old.asks(engine.QuestionPlan)
		old.Stop()
		_, r1 := old.end()
		s.SetBuild(agenttest.Image3)
		p, r2 := s.deploy(playedSettings())
		wants(t, p, r2, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if r1.Upgrade.ID >= r2.Upgrade.ID {
			t.Errorf("ids: %s, then %s", r1.Upgrade.ID, r2.Upgrade.ID)
		}
		resume := playedSettings()
		resume.Resume = true
		p, r := s.deploy(resume)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m01 up_to_date")
		if got := s.State("m00").Code.Version; got != "3.0.0" {
			t.Errorf("m00 runs %s: an older deploy was resumed over a newer one", got)
		}
	})
}

// slowLine holds up the request that starts an agent; it arrives when late is called.
type slowLine struct {
	engine.Fleet
	late chan func() (engine.Output, error)
}

func (l slowLine) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	if script, _, ok := agent.ScriptOf(command); !ok || script != agent.ScriptOrder {
		return l.Fleet.Exec(ctx, id, command, stdin, timeout)
	}
	l.late <- func() (engine.Output, error) {
		return l.Fleet.Exec(context.WithoutCancel(ctx), id, command, stdin, timeout)
	}
	<-ctx.Done()
	return engine.Output{}, fmt.Errorf("%w: %w", engine.ErrUnknownOutcome, ctx.Err())
}

// What was asked for under a lock that is lost arrives when another deploy is done: the VM refuses it.
func TestAnOrderOfADeployThatHasLostTheLock(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		ports := portsOf(s.NewConsole("ann"))
		line := slowLine{ports.Fleet, make(chan func() (engine.Output, error), 100)}
		ports.Fleet = line
		ann := &run{t: t, Deployment: deploy.Start(t.Context(), playedSettings(), ports), p: engine.NewProgress()}
		arrive := <-line.late
		s.SetBuild(agenttest.Image3)
		settings := playedSettings()
		settings.Force = true
		p, bobs := s.deploy(settings)
		wants(t, p, bobs, engine.OutcomeSucceeded, "m00 committed")
		if _, anns := ann.end(); anns.Problem == nil || anns.Problem.Name != "lock_lost" {
			t.Errorf("who lost the lock ended with %v", anns.Problem)
		}
		if out, err := arrive(); err != nil || !strings.Contains(out.Stdout, "superseded") || !strings.Contains(out.Stdout, bobs.Upgrade.ID) {
			t.Errorf("an order that came too late: %+v %v", out, err)
		}
		if got := s.State("m00"); got.Code.Version != "3.0.0" || got.Agent != "" {
			t.Errorf("m00: %+v", got)
		}
	})
}

// A plan takes no lock, so it keeps no deploy out that has it.
func TestAPlanKeepsNoDeployOut(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		var ready bool
		s.On(agenttest.Match{Kind: agenttest.Inject, Times: 1}, agenttest.Before(func() {
			ready = true
			plan := playedSettings()
			plan.DryRun = true
			if _, r := s.startOn(s.NewConsole("bob"), plan).end(); r.Outcome != engine.OutcomeSucceeded {
				t.Errorf("the plan ended %s: %v", r.Outcome, r.Problem)
			}
		}))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if !ready {
			t.Error("there was no plan meanwhile")
		}
	})
}

// portsAhead are those of a computer whose clock is ahead, and knows the bucket's only from its answers.
func (s *stage) portsAhead(by time.Duration) deploy.Ports {
	const name = "ahead"
	ports := portsOf(s.NewConsole(name))
	open := ports.Storage
	ports.Storage = func(ctx context.Context, otpApp string, env map[string]string) (engine.Storage, error) {
		storage, err := open(ctx, otpApp, env)
		buckets := storage.Now
		storage.Now = func() time.Time {
			if len(s.Calls(agenttest.Match{Console: name, Kind: agenttest.ReadMetadata})) == 0 {
				return time.Now().Add(by)
			}
			return buckets()
		}
		return storage, err
	}
	return ports
}

// A deploy that waited for the lock is younger than the one that overtook it.
func TestWhoWaitedForTheLockIsYounger(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		ann := s.start(asking())
		ann.asks(engine.QuestionPlan)

		waits := playedSettings()
		waits.Owner, waits.LockWait = "bob@ci", 30*time.Minute
		bob := s.startOn(s.NewConsole("ci"), waits)
		bob.until("it waited", func(e engine.Event) bool { return e.Held != nil })

		forced := asking()
		forced.Owner, forced.Force = "eve@desk", true
		eve := s.startOn(s.NewConsole("desk"), forced)
		eve.asks(engine.QuestionPlan)
		eve.Stop()
		_, overtook := eve.end()
		ann.end()
		p, r := bob.end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if overtook.Upgrade.ID >= r.Upgrade.ID {
			t.Errorf("ids: overtook %s, waited %s", overtook.Upgrade.ID, r.Upgrade.ID)
		}
	})
}

// `hot --resume --lock-wait` reads what it resumes behind the lock: a deploy that succeeded meanwhile stays succeeded.
func TestResumeWaitsForADeployThatSucceeds(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		ann := s.start(asking())
		ann.asks(engine.QuestionPlan)
		time.Sleep(2 * time.Second) // in virtual time: her record is in the bucket

		settings := playedSettings()
		settings.Owner, settings.Resume, settings.LockWait = "bob@ci", true, 30*time.Minute
		bob := s.startOn(s.NewConsole("ci"), settings)
		bob.until("it waited", func(e engine.Event) bool { return e.Held != nil })
		s.Add(engine.Machine{ID: "new", Region: "ams"}) // came meanwhile

		ann.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, hers := ann.end()
		wants(t, p, hers, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		p, his := bob.end()
		wants(t, p, his, engine.OutcomeSucceeded, "m00 up_to_date, new committed, m01 up_to_date")
		if d := s.deployJSON(hers.Upgrade.ID); d.Outcome != engine.OutcomeSucceeded || d.Running {
			t.Errorf("her record says %+v", d)
		}
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
	})
}

// The fleet is listed behind the lock: a machine that came right before it takes part.
func TestTheFleetIsReadBehindTheLock(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.AcquireLock, Times: 1}, agenttest.After(func() {
			s.Add(engine.Machine{ID: "new", Region: "ams"})
			s.Remove("m01")
		}))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, new committed")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
	})
}

// A colleague's plan is under way, without a lock: its temporary machine is not ours to destroy.
func TestTheTemporaryMachineOfAPlanIsLeftAlone(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		timing := agenttest.Usual
		timing.Pack = 5 * time.Minute
		s.SetTiming(timing)
		plan := playedSettings()
		plan.DryRun = true
		ann := s.start(plan)
		ann.until("it packed", func(e engine.Event) bool { return e.Phase == engine.PhaseTarball })
		time.Sleep(5 * time.Second) // in virtual time: its job has begun
		s.SetTiming(agenttest.Usual)
		theirs := s.Temporaries()
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if left := s.Temporaries(); !slices.Equal(left, theirs) || len(theirs) != 1 {
			t.Errorf("temporary machines: before %v, after %v", theirs, left)
		}
		if _, planned := ann.end(); planned.Outcome != engine.OutcomeSucceeded {
			t.Errorf("the plan ended %s: %v", planned.Outcome, planned.Problem)
		}
		s.nothingLeft()
	})
}

// Temporary machines are asked for where the app's machines are, or where the operator says: that which packs, and that of the release command.
func TestWhereTemporaryMachinesAreAskedFor(t *testing.T) {
	for want, named := range map[string][]string{"ams": nil, "nrt": {"nrt", "fra"}} {
		t.Run(want, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				var in []string
				s.On(agenttest.Match{Kind: agenttest.CreateTemporary}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
					a := carryOut()
					in = append(in, a.Value.(engine.Machine).Region)
					return a
				})
				settings := playedSettings()
				settings.ReleaseCommand, settings.RunReleaseCommand, settings.Temporary.Regions = "bin/migrate", true, named
				p, r := s.deploy(settings)
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
				if !slices.Equal(in, []string{want, want}) {
					t.Errorf("with %v they are in %v\n%s", named, in, logOf(p))
				}
			})
		})
	}
}

// One that should have destroyed itself long ago is removed, whoever made it.
func TestATemporaryMachineThatHasOutlivedItselfIsRemoved(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		made := ulid.MustNew(ulid.Timestamp(time.Now().Add(-30*time.Minute)), ulid.DefaultEntropy()).String()
		s.Add(engine.Machine{ID: "stays", Region: "ams", Temporary: made, LeftOut: "temporary machine of a deploy"})
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.nothingLeft()
	})
}

// What a killed deploy has left behind is removed by the next one.
func TestTheTemporaryMachineOfAKilledDeployIsRemoved(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Destroy, Times: 1}, agenttest.LoseRequest)
		restore := s.On(agenttest.Match{Kind: agenttest.WriteResult}, agenttest.LoseRequest) // it ends before anything of it is recorded
		first := s.start(asking())
		first.asks(engine.QuestionPlan)
		first.Stop()
		first.end()
		if len(s.Temporaries()) != 1 {
			t.Fatalf("temporary machines: %v", s.Temporaries())
		}
		restore()
		s.SetBuild(agenttest.Image3)
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.nothingLeft()
	})
}

// Every line of the complete stream is what the record in the bucket holds, in its order.
func TestTheCompleteStreamIsWhatIsRecorded(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Times: 1}, agenttest.LoseAnswer)
		r := s.start(playedSettings())
		var got []engine.Event
		stream := r.Recorded()
		for {
			batch, err := stream.Next(t.Context())
			if err != nil {
				break
			}
			got = append(got, batch...)
		}
		_, result := r.end()
		for i, e := range got {
			if e.Seq != int64(i+1) {
				t.Fatalf("event %d has seq %d", i+1, e.Seq)
			}
		}
		recorded := s.recordedEvents(result.Upgrade.ID)
		if len(recorded) != len(got) {
			t.Errorf("%d events in the stream, %d in the bucket", len(got), len(recorded))
		}
	})
}
