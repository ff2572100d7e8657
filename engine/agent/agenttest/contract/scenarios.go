package contract

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

func gone(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, agent.ErrGone) {
		t.Fatalf("got %v, want gone", err)
	}
}

func discovers(t testing.TB, m Machine) {
	vm := find(t, m)
	if vm.PID == "" || vm.Start == "" || vm.Root == "" || vm.Name == "" || vm.Node == "" || vm.Version == "" || vm.OTPApp != vm.Name || vm.Distribution != "name" {
		t.Errorf("%+v", vm)
	}
	if again := discover(t, m); again != vm {
		t.Errorf("%+v, before %+v", again, vm)
	}
	if _, err := agent.Discover(t.Context(), m.Exec, engine.Release{Name: "another"}); !errors.Is(err, agent.ErrNoVM) {
		t.Errorf("another release: %v", err)
	}
}

func reads(t testing.TB, m Machine) {
	vm := find(t, m)
	settings, err := agent.Storage(t.Context(), m.Exec, vm)
	if err != nil || settings["AWS_ACCESS_KEY_ID"] != "key" || settings["AWS_REGION"] != "auto" || settings["BUCKET_NAME"] == "" {
		t.Errorf("settings: %v %v", settings, err)
	}
	for key := range settings {
		if !strings.HasPrefix(key, "AWS_") && key != "BUCKET_NAME" {
			t.Errorf("%s has left the machine", key)
		}
	}
	if c := code(t, m); c.DriftedTotal != 0 {
		t.Errorf("drifted: %v", c.Drifted)
	}
	facts, err := agent.Probe(t.Context(), m.Exec, vm)
	if err != nil || facts.OTP == "" || facts.Elixir == "" || !facts.Crypto || facts.Agent || facts.Skew != 0 {
		t.Errorf("facts: %+v %v", facts, err)
	}
	if !slices.ContainsFunc(facts.Apps, func(a agent.App) bool { return a.Name == vm.OTPApp && a.Top && a.Version != "" }) {
		t.Errorf("applications: %+v", facts.Apps)
	}
}

func otherBootIsGone(t testing.TB, m Machine) {
	vm := find(t, m)
	vm.Start += "0"
	_, err := agent.StorageEnv(t.Context(), m.Exec, vm)
	gone(t, err)
	_, err = agent.Loaded(t.Context(), m.Exec, vm)
	gone(t, err)
	_, err = agent.Inject(t.Context(), m.Exec, vm, m.Order(2))
	gone(t, err)
}

func phases(s agent.Status) string {
	var all []string
	for _, p := range s.Phases {
		all = append(all, p.Name+":"+p.Status)
	}
	return strings.Join(all, " ")
}

const stagedPhases = "reload:done extract:done detection:done"

func stages(t testing.TB, m Machine) {
	before := code(t, m)
	o := m.Order(2)
	s, staged := stage(t, m, o)
	if staged.ID != o.ID || staged.Owner != o.Owner || staged.Boot != find(t, m).Boot() || phases(staged) != stagedPhases {
		t.Errorf("%+v", staged)
	}
	if staged.Download.Done != o.Size || staged.Download.Total != o.Size {
		t.Errorf("download: %+v", staged.Download)
	}
	if staged.UpToDate || staged.Counts.ModulesChanged == 0 || staged.Counts.Processes == 0 || len(staged.Modules) == 0 || len(staged.Modules) > staged.ModulesTotal ||
		len(staged.Processes) == 0 || staged.RollbackUS <= 0 || staged.FindingsTotal != len(staged.Findings) {
		t.Errorf("%+v", staged)
	}
	if f := staged.Modules[0].Functions; staged.Running == "" || f == nil || f.Total() == 0 {
		t.Errorf("it runs %q, and of %+v the functions are %+v", staged.Running, staged.Modules[0], f)
	}
	if r := staged.Ran; r != nil && *r != (agent.Ran{Own: true, Code: r.Code}) || r != nil && r.Code != "" && r.Code != before.Fingerprint { // nil: without the package
		t.Errorf("it ran %+v, code %s", r, before.Fingerprint)
	}
	if left := staged.ExpiresIn(); left > 20*time.Minute || left < 18*time.Minute {
		t.Errorf("staged for %v", left)
	}
	for _, p := range staged.Phases {
		if at := time.UnixMicro(p.AtUS); time.Since(at).Abs() > 5*time.Minute || p.US <= 0 {
			t.Errorf("phase %+v at %v", p, at)
		}
	}
	// An old seq is answered at once with what is there.
	if again := await(t, s, agent.Staged, 0); again.Seq < staged.Seq {
		t.Errorf("seq went from %d to %d", staged.Seq, again.Seq)
	}
	if facts, err := agent.Probe(t.Context(), m.Exec, find(t, m)); err != nil || !facts.Agent {
		t.Errorf("facts do not know of the agent: %+v %v", facts, err)
	}
	movesWithoutNews(t, s, staged)
	finish(t, s)
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("staging has changed the code")
	}
}

func movesWithoutNews(t testing.TB, s *agent.Session, staged agent.Status) {
	t.Helper()
	for range 2 {
		status, err := s.Wait(t.Context(), staged.Seq)
		if err != nil || status.Seq <= staged.Seq || status.State != agent.Staged || status.ExpiresInMS >= staged.ExpiresInMS {
			t.Fatalf("%s, seq %d after %d, expires in %v after %v: %v", status.State, status.Seq, staged.Seq, status.ExpiresIn(), staged.ExpiresIn(), err)
		}
		staged = status
	}
}

func oneAtATime(t testing.TB, m Machine) {
	o, mine := m.Order(2), m.Order(2)
	left, staged := stage(t, m, o)
	requests := 0
	counted := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		requests++
		return m.Exec(ctx, command, stdin, timeout)
	}
	_, err := agent.Inject(t.Context(), counted, find(t, m), mine)
	var busy *agent.BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("a second upgrade: %v", err)
	}
	if requests != 1 {
		t.Errorf("%d requests to learn that an agent is at work", requests)
	}
	if busy.ID != o.ID || busy.Owner != o.Owner || busy.State != agent.Staged || busy.ExpiresIn < 18*time.Minute {
		t.Errorf("%+v", busy)
	}
	// The same order again is the same session: an answer that was lost can be asked for again.
	again := inject(t, m, o)
	if status := await(t, again, agent.Staged, 0); status.Seq < staged.Seq || status.State != agent.Staged {
		t.Errorf("the same order again: %s, seq %d after %d", status.State, status.Seq, staged.Seq)
	}
	if state, err := busy.TakeOver(t.Context(), m.Exec, find(t, m)); err != nil || state != agent.Aborted {
		t.Fatalf("taking over: %s %v", state, err)
	}
	_, err = left.Wait(t.Context(), 0)
	gone(t, err)
	s, _ := stage(t, m, mine)
	finish(t, s)
}

func keepsOlderOut(t testing.TB, m Machine) {
	fenced := func(fence string) agent.Order {
		o := m.Order(2)
		o.Fence = fence
		return o
	}
	const older, newer, newest = "01JCXXXXXXXXXXXXXXXXXXXXX1", "01JCXXXXXXXXXXXXXXXXXXXXX2", "01JCXXXXXXXXXXXXXXXXXXXXX3"
	refused := func(o agent.Order) {
		t.Helper()
		_, err := agent.Inject(t.Context(), m.Exec, find(t, m), o)
		var refusal *agent.Refusal
		if !errors.As(err, &refusal) || refusal.Name != "superseded" || !strings.Contains(refusal.What, newer) {
			t.Errorf("an order of an older deploy: %v", err)
		}
	}
	s, staged := stage(t, m, fenced(newer))
	refused(fenced(older)) // and does not offer to take over
	if status, err := s.Wait(t.Context(), 0); err != nil || status.State != agent.Staged || status.Seq < staged.Seq {
		t.Errorf("the newer one afterwards: %s %v", status.State, err)
	}
	var busy *agent.BusyError
	if _, err := agent.Inject(t.Context(), m.Exec, find(t, m), fenced(newest)); !errors.As(err, &busy) {
		t.Errorf("an order of a newer deploy meanwhile: %v", err)
	}
	finish(t, s)
	refused(fenced(older))
	for _, fence := range []string{newer, newest, ""} {
		finish(t, inject(t, m, fenced(fence))) // it is not waited for
	}
}

func aborts(t testing.TB, m Machine) {
	s, staged := stage(t, m, m.Order(2))
	aborted := order(t, s, s.Abort, staged.Seq, agent.Aborted)
	if left := aborted.ExpiresIn(); left > 10*time.Minute || left < 8*time.Minute {
		t.Errorf("aborted for %v", left)
	}
	// A terminal state never changes.
	for _, c := range []command{s.Arm, s.Commit, s.Abort} {
		if status, err := c(t.Context(), aborted.Seq); err != nil || status.State != agent.Aborted {
			t.Errorf("after the abort: %s %v", status.State, err)
		}
	}
	finish(t, s)
	for _, c := range []command{s.Wait, s.Arm, s.Commit, s.Abort} {
		_, err := c(t.Context(), 0)
		gone(t, err)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Errorf("finishing again: %v", err)
	}
}

func abortBeatsCommit(t testing.TB, m Machine) {
	before := code(t, m)
	s, staged := stage(t, m, m.Order(2))
	armed := order(t, s, s.Arm, staged.Seq, agent.Armed)
	if left := armed.ExpiresIn(); left > time.Minute || left < 20*time.Second {
		t.Errorf("armed for %v", left)
	}
	if phases(armed) != stagedPhases+" arm:done" {
		t.Errorf("phases: %s", phases(armed))
	}
	m.Command(s.ID(), "commit", "abort")
	expect(t, await(t, s, agent.Aborted, armed.Seq), agent.Aborted)
	finish(t, s)
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("the commit came through")
	}
}

func finishAbortsFirst(t testing.TB, m Machine) {
	before := code(t, m)
	s, staged := stage(t, m, m.Order(2))
	order(t, s, s.Arm, staged.Seq, agent.Armed)
	finish(t, s)
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("finishing has committed")
	}
}

func refusesFolder(t testing.TB, m Machine) {
	o := m.Order(2)
	m.MakeDir(o.ID)
	_, err := agent.Inject(t.Context(), m.Exec, find(t, m), o)
	var refusal *agent.Refusal
	if !errors.As(err, &refusal) || refusal.Name != "refused" || !strings.Contains(refusal.What, "cannot be made") {
		t.Errorf("got %v", err)
	}
}

func refusesTarball(t testing.TB, m Machine) {
	for name, change := range map[string]func(*agent.Order){
		"sha256_differs":  func(o *agent.Order) { o.SHA256 = strings.Repeat("0", 64) },
		"download_failed": func(o *agent.Order) { o.TarballURL = strings.Replace(o.TarballURL, ".tar.gz", ".missing", 1) },
	} {
		o := m.Order(2)
		change(&o)
		s := inject(t, m, o)
		failed := expect(t, await(t, s, agent.Failed, 0), agent.Failed)
		if failed.Error == nil || failed.Error.Name != name || phases(failed) != "reload:failed" {
			t.Errorf("%s: %+v, phases %s", name, failed.Error, phases(failed))
		} else if _, query, _ := strings.Cut(o.TarballURL, "?"); query != "" && strings.Contains(failed.Error.What, query) {
			t.Errorf("%s shows the URL's query: %s", name, failed.Error.What)
		}
		if status, err := s.Arm(t.Context(), failed.Seq); err != nil || status.State != agent.Failed {
			t.Errorf("armed all the same: %s %v", status.State, err)
		}
		finish(t, s)
	}
}

func expires(t testing.TB, m Machine) {
	before := code(t, m)
	o := m.Order(2)
	o.ArmedFor, o.TerminalFor = 2*time.Second, 4*time.Second
	s, staged := stage(t, m, o)
	if _, err := s.Arm(t.Context(), staged.Seq); err != nil && !errors.Is(err, agent.ErrGone) {
		t.Fatal(err)
	}
	// A slow computer may not see every state.
	allowed := []agent.State{agent.Staged, agent.Arming, agent.Armed, agent.Expired}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		status, err := s.Wait(t.Context(), staged.Seq)
		if err != nil {
			gone(t, err)
			break
		}
		if !slices.Contains(allowed, status.State) || status.State == agent.Expired && status.ExpiresIn() > o.TerminalFor {
			t.Fatalf("%s for %v", status.State, status.ExpiresIn())
		}
		if time.Now().After(deadline) {
			t.Fatal("the agent does not end by itself")
		}
		staged = status
	}
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("the code has changed")
	}
}

func rollsBack(t testing.TB, m Machine) {
	before := code(t, m)
	o := m.Order(3)
	s, staged := stage(t, m, o)
	armed := order(t, s, s.Arm, staged.Seq, agent.Armed)
	done := order(t, s, s.Commit, armed.Seq, agent.RolledBack)
	if want := stagedPhases + " arm:done suspension:done code_load:done migration:failed rollback:done resume:done liveview:skipped"; phases(done) != want {
		t.Errorf("phases: %s", phases(done))
	}
	if done.FailuresTotal == 0 || len(done.Failures) == 0 || done.Migrated != 0 || len(done.Killed) > 0 || done.Suspended == 0 || done.SuspendedUS <= 0 {
		t.Fatalf("%+v", done)
	}
	for _, f := range done.Failures {
		if f.PID == "" || f.Module == "" || f.Reason != "raised" || f.Count == 0 || !strings.HasPrefix(f.Exception, "** (") || len(f.Stack) == 0 || f.StateBefore == "" {
			t.Errorf("%+v", f)
		}
	}
	for done.ReportDue() {
		done = expect(t, await(t, s, agent.RolledBack, done.Seq), agent.RolledBack)
	}
	if done.Report != agent.ReportStored {
		t.Errorf("report: %q", done.Report)
	}
	checkReport(t, m.Report(o.ID), done)
	finish(t, s)
	if after := code(t, m); after.Fingerprint != before.Fingerprint || after.DriftedTotal > 0 {
		t.Errorf("loaded code: %+v, before %+v", after, before)
	}
}

func checkReport(t testing.TB, body []byte, done agent.Status) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("the report: %v", err)
	}
	var report struct {
		V             int
		ID, Boot      string
		Outcome       agent.State
		Failures      []agent.Failure
		FailuresTotal int `json:"failures_total"`
	}
	if err := json.NewDecoder(z).Decode(&report); err != nil {
		t.Fatalf("the report: %v", err)
	}
	if report.V != 1 || report.ID != done.ID || report.Boot != done.Boot || report.Outcome != done.State || len(report.Failures) == 0 || report.FailuresTotal != done.FailuresTotal {
		t.Errorf("the report: %+v", report)
	}
}

func isStale(t testing.TB, m Machine) {
	s, staged := stage(t, m, m.Order(2))
	m.Load()
	stale := order(t, s, s.Arm, staged.Seq, agent.Stale)
	if stale.Error == nil || stale.Error.Name != "stale" || !strings.Contains(stale.Error.What, "after staging") {
		t.Errorf("%+v", stale.Error)
	}
	finish(t, s)
}

// checkCommitted checks a status of an upgrade to version 2.
func checkCommitted(t testing.TB, done agent.Status) {
	t.Helper()
	if done.Error != nil || len(done.Failures) > 0 || done.FailuresTotal > 0 || len(done.Unplaced) > 0 || done.Report != "" || done.ReportDue() {
		t.Errorf("%+v", done)
	}
	if done.Suspended != done.Counts.Processes || done.Migrated != done.Counts.Migrating || done.Crashed != 0 {
		t.Errorf("suspended %d, migrated %d, crashed %d of %+v", done.Suspended, done.Migrated, done.Crashed, done.Counts)
	}
	if us := done.ResumedAtUS - done.SuspendedAtUS; us <= 0 || us != done.SuspendedUS {
		t.Errorf("suspended for %d µs, from %d to %d", done.SuspendedUS, done.SuspendedAtUS, done.ResumedAtUS)
	}
	if want := stagedPhases + " arm:done suspension:done code_load:done migration:done resume:done liveview:skipped"; phases(done) != want {
		t.Errorf("phases: %s", phases(done))
	}
	if left := done.ExpiresIn(); left > 10*time.Minute || left < 8*time.Minute {
		t.Errorf("committed for %v", left)
	}
}

func earlyCommitWaits(t testing.TB, m Machine) {
	before := code(t, m)
	s, staged := stage(t, m, m.Order(2))
	early, err := s.Commit(t.Context(), staged.Seq)
	if err != nil || early.State != agent.Staged {
		t.Fatalf("a commit before arming: %s %v", early.State, err)
	}
	if _, err := s.Arm(t.Context(), early.Seq); err != nil {
		t.Fatal(err)
	}
	checkCommitted(t, expect(t, await(t, s, agent.Committed, early.Seq), agent.Committed))
	finish(t, s)
	if after := code(t, m); after.Fingerprint == before.Fingerprint || after.DriftedTotal > 0 {
		t.Errorf("loaded code: %+v, before %+v", after, before)
	}
}

// secondUpgradeDoesNothing comes after version 2 was committed.
func secondUpgradeDoesNothing(t testing.TB, m Machine) {
	before := code(t, m)
	s, staged := stage(t, m, m.Order(2))
	if !staged.UpToDate || staged.Counts != (agent.Counts{}) || staged.ModulesTotal != 0 || staged.ProcessesTotal != 0 {
		t.Errorf("%+v", staged)
	}
	armed := order(t, s, s.Arm, staged.Seq, agent.Armed)
	done := order(t, s, s.Commit, armed.Seq, agent.Committed)
	checkCommitted(t, done)
	if done.Suspended != 0 {
		t.Errorf("suspended %d", done.Suspended)
	}
	finish(t, s)
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("the code has changed")
	}
}

func commits(t testing.TB, m Machine) {
	before := code(t, m)
	o := m.Order(2)
	o.Trial = time.Hour
	s, staged := stage(t, m, o)
	if staged.Trial != nil {
		t.Errorf("on trial before its commit: %+v", staged.Trial)
	}
	m.Crash() // it is no part of what is told of the commit, but of what was before
	var armed agent.Status
	for range 2 {
		armed = order(t, s, s.Arm, staged.Seq, agent.Armed)
	}
	var done agent.Status
	for range 2 {
		done = order(t, s, s.Commit, armed.Seq, agent.Committed)
	}
	checkCommitted(t, done)
	if status, err := s.Abort(t.Context(), done.Seq); err != nil || status.State != agent.Committed {
		t.Errorf("abort after the commit: %s %v", status.State, err)
	}
	if after := code(t, m); after.Fingerprint == before.Fingerprint || after.DriftedTotal > 0 {
		t.Errorf("loaded code: %+v, before %+v", after, before)
	}
	crashes(t, m, s, done)
	isOnTrial(t, m, s, done)
}

// isOnTrial looks at an upgrade that was committed on trial, and confirms it. That the agent ends changes nothing.
func isOnTrial(t testing.TB, m Machine, s *agent.Session, done agent.Status) {
	t.Helper()
	runs := func(id string, left time.Duration, from string) {
		t.Helper()
		if id != s.ID() || left > time.Hour || left < 50*time.Minute {
			t.Errorf("%s: on trial %q for %v", from, id, left)
		}
	}
	if done.Trial == nil {
		t.Fatal("the agent does not tell of the trial")
	}
	runs(done.Trial.ID, time.Duration(done.Trial.LeftMS)*time.Millisecond, "the agent")
	vm := find(t, m)
	found, there, err := agent.LookAtTrial(t.Context(), m.Exec, vm)
	if err != nil || there == nil || there.ID() != s.ID() {
		t.Fatalf("its agent is %v: %v", there, err)
	}
	runs(found.ID, found.Left, "the VM")
	if found.Ran != nil && found.Ran.NewestMS != 0 {
		t.Errorf("before the trial it ran %+v", found.Ran)
	}
	finish(t, there)
	if err := agent.ConfirmTrial(t.Context(), m.Exec, vm, agent.NewID("01OTHER")); err != nil {
		t.Fatal(err)
	}
	c := code(t, m)
	runs(c.Trial.ID, c.Trial.Left, "beside its code")
	for range 2 {
		if err := agent.ConfirmTrial(t.Context(), m.Exec, vm, s.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if found, there, err := agent.LookAtTrial(t.Context(), m.Exec, vm); err != nil || found.ID != "" || there != nil {
		t.Errorf("once it is confirmed: %+v, %v, %v", found, there, err)
	}
	if after := code(t, m); after.Fingerprint != c.Fingerprint {
		t.Error("the code has changed")
	}
}

// crashes tells of a crash after the commit beside the same one before it: see commits.
func crashes(t testing.TB, m Machine, s *agent.Session, done agent.Status) {
	if w := done.Watch; w == nil || len(w.Crashes) != 1 || w.Crashes[0].Count != 0 || w.Crashes[0].Before != 1 || w.CrashesTotal > 0 || w.BeforeMS < 0 || w.AfterMS < 0 {
		t.Errorf("before anything crashes again: %+v", w)
	}
	m.Crash()
	for done.Watch == nil || done.Watch.CrashesTotal == 0 {
		done = expect(t, await(t, s, agent.Committed, done.Seq), agent.Committed)
	}
	w := done.Watch
	if len(w.Crashes) != 1 || w.Kinds != 1 || w.CrashesTotal != 1 || w.BeforeMS < 0 || w.AfterMS <= 0 || done.Crashed != 1 {
		t.Fatalf("crashed %d: %+v", done.Crashed, w)
	}
	c := w.Crashes[0]
	if c.Module == "" || c.Exception == "" || c.At == "" || len(c.Stack) == 0 || c.Count != 1 || c.Before != 1 || c.Others != 0 {
		t.Errorf("%+v", c)
	}
}

func leavesOutBusy(t testing.TB, m Machine) {
	before := code(t, m)
	free := m.Busy()
	commit := func(o agent.Order, want agent.State) (*agent.Session, agent.Status) {
		t.Helper()
		s, staged := stage(t, m, o)
		armed := order(t, s, s.Arm, staged.Seq, agent.Armed)
		return s, order(t, s, s.Commit, armed.Seq, want)
	}
	about := func(done agent.Status, reason string) {
		t.Helper()
		if done.FailuresTotal != 1 || len(done.Failures) != 1 || done.KilledTotal > 0 || done.Died > 0 || done.Error != nil {
			t.Fatalf("%+v", done)
		}
		if f := done.Failures[0]; f.Reason != reason || f.PID == "" || f.Module == "" || f.Exception == "" {
			t.Errorf("%+v", f)
		}
	}
	s, done := commit(m.Order(2), agent.Failed)
	about(done, "busy")
	if done.Skipped > 0 || done.Migrated > 0 {
		t.Errorf("skipped %d, migrated %d", done.Skipped, done.Migrated)
	}
	if want := stagedPhases + " arm:done suspension:failed resume:done liveview:skipped"; phases(done) != want {
		t.Errorf("phases: %s", phases(done))
	}
	finish(t, s)
	if code(t, m).Fingerprint != before.Fingerprint {
		t.Error("the code has changed")
	}

	o := m.Order(2)
	o.SkipBusy = true
	s, done = commit(o, agent.Committed)
	about(done, "skipped")
	if done.Skipped != 1 || done.Suspended != done.Counts.Processes-1 || done.Migrated != done.Counts.Migrating-1 {
		t.Errorf("skipped %d, suspended %d, migrated %d of %+v", done.Skipped, done.Suspended, done.Migrated, done.Counts)
	}
	free()
	finish(t, s)
	if code(t, m).Fingerprint == before.Fingerprint {
		t.Error("the code has not changed")
	}
}
