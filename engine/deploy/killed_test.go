package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/kept"
	"flydeploy/engine/deploy"
	"flydeploy/engine/record"
	"flydeploy/examples/counter"
	"flydeploy/fly"
	"flydeploy/s3"
)

// A console is a process of its own: this test binary, with consoleEnv set to what it shall do.
const consoleEnv = "FLYDEPLOY_TEST_CONSOLE"

// orders for a console.
type orders struct {
	API, Token, Image string
	LockTimeout       time.Duration
	Trial             time.Duration // 0: it is not one on trial, and goes by waves of one machine
}

// console runs a deploy and prints its events, until it ends or is killed.
func console() int {
	var o orders
	if err := json.Unmarshal([]byte(os.Getenv(consoleEnv)), &o); err != nil {
		return 2
	}
	client, err := fly.New(fly.Options{App: "counter", Token: o.Token, BaseURL: o.API})
	if err != nil {
		return 2
	}
	s := settings()
	s.Owner, s.Image, s.LockTimeout = "ann@laptop", o.Image, o.LockTimeout
	s.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 1, Bake: killedBake}
	if o.Trial > 0 {
		s.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: killedBake, Trial: o.Trial}
	}
	d := deploy.Start(context.Background(), s, deploy.Ports{Fleet: client, Storage: openStorage, Agents: kept.Agents()})
	out := json.NewEncoder(os.Stdout)
	for {
		batch, err := d.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return d.Result().Outcome.ExitCode()
		}
		for _, e := range batch {
			if out.Encode(e) != nil {
				return 2
			}
		}
	}
}

func openStorage(ctx context.Context, otpApp string, env map[string]string) (engine.Storage, error) {
	b, err := s3.Open(ctx, s3.Config{
		Endpoint: env["AWS_ENDPOINT_URL_S3"], Region: env["AWS_REGION"], Bucket: env["BUCKET_NAME"], App: otpApp,
		AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"],
	})
	return engine.Storage{Locks: b, Records: b, Tarballs: b}, err
}

// killedBake is for how long such a console watches a machine.
const killedBake = 5 * time.Second

// killPoints are where a console is killed: as soon as it has told this.
var killPoints = []struct {
	phase   engine.Phase
	status  engine.Status
	machine bool
}{
	{engine.PhaseWatch, engine.StatusRunning, true}, // the first machine is watched, the second one waits
	{engine.PhaseCheck, engine.StatusDone, true},    // it is verified
	{engine.PhaseArm, engine.StatusDone, true},
	{engine.PhaseLock, engine.StatusDone, false},
	{engine.PhaseOrchestrator, engine.StatusDone, false},
	{engine.PhaseTarball, engine.StatusDone, false},
	{engine.PhaseUpload, engine.StatusDone, false},
	{engine.PhaseStage, engine.StatusRunning, false},
	{engine.PhasePlan, engine.StatusDone, false},
	{engine.PhaseCommit, engine.StatusRunning, false},
	{engine.PhaseResume, engine.StatusDone, true},
	{engine.PhaseMetadata, engine.StatusDone, false},
}

// full: all of what a short run takes a part of. `make soak` sets it.
var full = os.Getenv("FLYDEPLOY_SOAK") != ""

// A console is killed with -9 wherever it is. Another one waits until the lock has expired, takes over, and finishes: no
// count is lost, and what the record says of a machine is true all the time.
func TestAKilledConsoleIsFinishedByAnother(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	if chosen := os.Getenv("FLYDEPLOY_FAULTS"); !regexp.MustCompile(chosen).MatchString("console killed while it watches") {
		t.Skip("not asked for")
	}
	points := killPoints
	if !full {
		points = points[:1]
	}
	for _, point := range points {
		t.Run(fmt.Sprintf("%s_%s", point.phase, point.status), func(t *testing.T) {
			w := newWorld(t, 2)
			before := map[string]counter.Snapshot{}
			for _, id := range w.ids {
				before[id] = w.snapshot(id)
			}
			w.killConsole(orders{API: w.local.APIURL(), Token: w.local.Token(), Image: w.push(2), LockTimeout: 10 * time.Second}, func(e engine.Event) bool {
				told := e.Status == point.status || e.Status.Final() // what runs for a moment may not be told
				return e.Phase == point.phase && told && e.Log == "" && (e.Machine != "") == point.machine
			})
			w.expectTrueMetadata()

			s := settings()
			s.Owner, s.Resume, s.LockWait, s.Strategy.Bake = "bob@desk", true, 5*time.Minute, killedBake
			p, r := w.deploy(s, 2)
			if r.Problem != nil && r.Problem.Name == "nothing_to_resume" { // it was killed before it could tell of itself
				s.Resume = false
				p, r = w.deploy(s, 2)
			}
			if r.Outcome != engine.OutcomeSucceeded {
				t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
			}
			if point.phase == engine.PhaseWatch && (r.Health != engine.HealthHealthy || r.Machines[0].Outcome != engine.OutcomeCommitted || r.Machines[1].Outcome != engine.OutcomeCommitted) {
				t.Errorf("the watch did not go on: %s, %s\n%s", r.Health, outcomes(r), logOf(p))
			}
			for _, id := range w.ids {
				if c := counter.Compare(before[id], w.snapshot(id), counter.Done{}); !c.PidsUnchanged || !c.CountsUnchanged || c.StatesMigrated != counters || c.Version != "2.0.0" {
					t.Errorf("machine %s: %+v", id, c)
				}
			}
			if md, _, err := w.bucket().Metadata(t.Context()); err != nil || md.HotUpgrade == nil || md.HotUpgrade.Version != "2.0.0" || len(md.MachineUpgrades) != 0 {
				t.Errorf("current.json: %+v, %v", md, err)
			}
			w.expectNothingLeft()
			w.expectClosed(r.Upgrade.ID)
		})
	}
}

// killConsole starts a console and kills it when it has told what is waited for.
func (w *world) killConsole(o orders, when func(engine.Event) bool) {
	w.t.Helper()
	order, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), consoleEnv+"="+string(order))
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	told, found := "", false
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for !found && lines.Scan() {
		var e engine.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Errorf("the console said %q", lines.Bytes())
		}
		told += lines.Text() + "\n"
		found = when(e)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !found {
		w.t.Fatalf("the console ended before it could be killed:\n%s", told)
	}
}

// expectTrueMetadata: what the record says that a machine runs, it runs.
func (w *world) expectTrueMetadata() {
	w.t.Helper()
	md, _, err := w.bucket().Metadata(w.t.Context())
	if errors.Is(err, engine.ErrNotFound) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for _, id := range w.ids {
		u := md.HotUpgrade
		if mine, ok := md.MachineUpgrades[id]; ok {
			u = &mine
		}
		if v := w.snapshot(id).Versions.Version; u != nil && u.Version != v {
			w.t.Errorf("the record says that machine %s runs %s; it runs %s", id, u.Version, v)
		}
	}
}

// expectClosed: no deploy but the last one seems to run, and that one has ended.
func (w *world) expectClosed(last string) {
	w.t.Helper()
	past, err := record.History(w.t.Context(), w.bucket(), 0)
	if err != nil || len(past) == 0 || past[0].ID != last {
		w.t.Fatalf("history %+v: %v", past, err)
	}
	for _, p := range past {
		if p.Running {
			w.t.Errorf("deploy %s seems to run: %+v", p.ID, p)
		}
	}
}
