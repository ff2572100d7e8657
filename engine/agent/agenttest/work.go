package agenttest

import (
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// step is a part of the agent's work, and what follows it.
type step struct {
	takes time.Duration
	then  func()
}

// do works through steps, one after the other, unless the work is ended. Without a duration it is done at once.
func (a *process) do(steps ...step) {
	a.works++
	a.work = a.works
	a.goOn(a.work, steps)
}

func (a *process) goOn(work int, steps []step) {
	for a.work == work && !a.gone {
		if len(steps) == 0 {
			a.work = 0
			a.obey()
			return
		}
		s := steps[0]
		if s.takes > 0 {
			steps = steps[1:]
			a.later(s.takes, func() {
				if a.work == work {
					s.then()
					a.goOn(work, steps)
				}
			})
			return
		}
		steps = steps[1:]
		s.then()
	}
}

// phase is a step that the status tells as a phase: running, and then as it ends.
func (a *process) phase(name string, takes time.Duration, do func() *agent.Error) []step {
	var at time.Time
	return []step{
		{0, func() {
			at = time.Now()
			a.next.Phases = append(a.next.Phases, agent.Phase{Name: name, AtUS: at.UnixMicro(), Status: "running"})
			a.publish()
		}},
		{takes, func() {
			e := do()
			p := &a.next.Phases[len(a.next.Phases)-1]
			p.US, p.Status = max(time.Since(at).Microseconds(), 1), "done"
			if e != nil {
				p.Status = "failed"
			}
			a.publish()
			if e != nil {
				a.work = 0
				a.fail(e)
				a.obey()
			}
		}},
	}
}

func (a *process) stage() {
	takes := a.world.behaviourOf(a.machine).Stages
	well := func() *agent.Error { return nil }
	a.do(slices.Concat(
		a.phase("reload", takes/2, a.download),
		a.phase("extract", takes/4, well),
		a.phase("detection", takes/4, a.detect),
		[]step{{0, func() { a.enter(agent.Staged, a.order.staged) }}},
	)...)
}

// download gets the tarball from the bucket.
func (a *process) download() *agent.Error {
	b := a.world.behaviourOf(a.machine)
	o, status := a.world.bucket.get(a.order.url)
	switch {
	case b.StageError != nil:
		return b.StageError
	case status != 200:
		return &agent.Error{Name: "download_failed", What: fmt.Sprintf("the download from storage.test failed: the server answered %d", status)}
	case o.size != a.order.size:
		return &agent.Error{Name: "truncated", What: fmt.Sprintf("the tarball has %d bytes instead of %d", o.size, a.order.size)}
	case o.sha256 != a.order.sha256:
		return &agent.Error{Name: "sha256_differs", What: "the tarball's sha256 is not the expected one"}
	}
	a.next.Download.Done = o.size
	return nil
}

func (a *process) detect() *agent.Error {
	b := a.world.behaviourOf(a.machine)
	a.stagedAs = a.vm.code
	s := &a.next
	s.Running = a.vm.code.Version
	s.Ran = a.machine.ran()
	s.Findings, s.FindingsTotal = slices.Clone(b.Findings), len(b.Findings)
	if a.order.rehearse {
		s.Findings = append(s.Findings, b.Rehearsed...)
		s.FindingsTotal = len(s.Findings)
	}
	if a.order.back {
		s.Findings = a.startingAfresh(s.Findings)
	}
	again := false
	if e := a.vm.undone; e != nil {
		s.Findings = append(s.Findings, agent.Finding{Name: e.Name, Severity: "warn", Subject: "Counter.Application", Detail: "has not done this before: " + e.What})
		s.FindingsTotal++
		again = triesAgain(e, a.order.applyConfig, a.order.applyChildren)
	}
	nothingHot := slices.ContainsFunc(b.Findings, func(f agent.Finding) bool { return f.Name == engine.NothingHot })
	if s.UpToDate = a.vm.code.SHA256 == a.order.sha256 && !nothingHot && !again; s.UpToDate {
		return nil
	}
	s.RollbackUS, s.Counts = b.RollbackUS, b.Counts
	s.Modules, s.ModulesTotal = slices.Clone(b.Modules), len(b.Modules)
	s.Processes, s.ProcessesTotal = slices.Clone(b.Processes), len(b.Processes)
	return nil
}

// startingAfresh: where an upgrade is taken back, who lingers blocks nothing, but ends, as do the processes of the modules that the order names.
func (a *process) startingAfresh(findings []agent.Finding) []agent.Finding {
	all := slices.Clone(findings)
	a.fresh = 0
	for i, f := range all {
		if f.Name == "lingering" {
			all[i].Name, all[i].Severity, all[i].Detail = "fresh_states", "warn", "1 process starts again with a fresh state, by Counter.Supervisor: it still runs an older version of its code"
			a.fresh += max(f.Processes, 1)
		}
	}
	for _, module := range a.order.fresh {
		a.fresh++
		all = append(all, agent.Finding{Name: "fresh_states", Severity: "warn", Subject: module, Processes: 1,
			Detail: "1 process starts again with a fresh state, by Counter.Supervisor: going back with its state has failed"})
	}
	return all
}

func (a *process) arm() {
	b := a.world.behaviourOf(a.machine)
	for _, f := range a.next.Findings {
		if f.Severity == "refuse" {
			a.fail(&agent.Error{Name: f.Name, What: f.Subject + " " + f.Detail})
			return
		}
	}
	a.enter(agent.Arming, a.order.staged)
	a.do(slices.Concat(
		a.phase("arm", b.Arms, func() *agent.Error { return a.world.behaviourOf(a.machine).ArmError }),
		[]step{{0, func() {
			if a.world.behaviourOf(a.machine).Stale || a.vm.code != a.stagedAs {
				a.stale()
				return
			}
			a.enter(agent.Armed, a.order.armed)
		}}},
	)...)
}

func (a *process) commit() {
	b := a.world.behaviourOf(a.machine)
	a.enter(agent.Committing, windowFor)
	if b.StaleAtCommit || a.vm.code != a.stagedAs {
		a.stale()
		return
	}
	begun := time.Now()
	a.committed = begun
	a.do(step{b.Commits, func() { a.conclude(begun) }})
}

// conclude ends the window.
func (a *process) conclude(begun time.Time) {
	usual := *a.world.behaviourOf(a.machine)
	b := &usual
	if b.Busy && !a.order.skipBusy {
		b.Outcome = agent.Failed
	}
	if b.FailsBack && a.order.back && len(a.order.fresh) == 0 {
		b.Outcome = agent.RolledBack
	}
	if b.Outcome == agent.Committed {
		a.next.Fresh = a.fresh
		a.vm.code = Release{Image: a.machine.Image, Version: a.order.version, SHA256: a.order.sha256, Size: a.order.size}
		a.vm.hotRef, a.vm.upgrade = a.order.sourceImage, a.order.fence
		a.vm.children = a.order.applyChildren
		a.world.leavesUndone(a.machine, a.vm, a.order.applyConfig)
		if a.order.back { // what runs again has run before
			a.vm.undone = nil
		}
		if a.order.applyConfig {
			a.vm.config = a.world.configIn(a.order.sha256)
		}
		a.world.tryOut(a.machine, a.order)
		if a.vm.trial == nil {
			a.vm.newest = max(a.vm.newest, sentMS(a.order.fence))
		}
	}
	a.tellWindow(b, begun)
	if b.Busy && b.Outcome == agent.Committed {
		f := usualFailure(agent.Failed)
		f.Reason, a.next.Skipped = "skipped", 1
		a.next.Suspended, a.next.Migrated = a.next.Suspended-1, a.next.Migrated-1
		a.next.Failures, a.next.FailuresTotal = append(a.next.Failures, f), a.next.FailuresTotal+1
	}
	a.enter(b.Outcome, a.order.terminal)
	if a.next.ReportDue() && a.order.reportURL != "" {
		a.works++
		a.work = a.works
		a.goOn(a.work, []step{{b.Reports, a.report}})
	}
}
