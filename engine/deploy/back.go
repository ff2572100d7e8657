package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/text"
)

// takeBack deploys to the machines that have taken the upgrade what each of them ran before, as a hot deploy of its own under the same
// lock: an earlier upgrade from its tarball, or the image's code. Processes keep their states where the code that runs takes these back
// (code_change with {:down, vsn}, or one that gives them back as they are); the others start afresh, see afresh.go. why is what
// current.json says about it.
func (c *committing) takeBack(ctx context.Context, why string) error {
	c.left.canResume(false)
	// Whoever may have taken it, says so first.
	c.withSettleTimeout(ctx, func(ctx context.Context) { c.resolve(ctx, c.machines) })
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "taking it back: what ran before is packed and staged"})
	err := errors.Join(c.takeBackAll(ctx, filter(c.machines, c.hasTaken), why), c.takeBackBooted(ctx, why))
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "taken back from " + text.Counted(count(c.machines, (*rollout).isTakenBack), "machine"), Upgrade: copyOf(&c.upgrade)})
	return err
}

// takeBackAll takes each machine back to what it ran before.
func (c *committing) takeBackAll(ctx context.Context, machines []*rollout, why string) error {
	took := map[string][]*rollout{} // by the ID of the upgrade before, "" for the image's code
	before := map[string]*engine.HotUpgrade{}
	var errs []error
	for _, r := range machines {
		id, u := "", c.surveyed.before(r.machine)
		if err := c.checkBefore(r, u); err != nil {
			r.endBack(newAttemptOf(r), "", err)
			errs = append(errs, err)
			continue
		}
		if u != nil {
			id, before[u.ID] = u.ID, u
		}
		took[id] = append(took[id], r)
	}
	for id, machines := range took {
		errs = append(errs, c.takeBackTo(ctx, before[id], machines, why))
	}
	return errors.Join(errs...)
}

// hasTaken: the machine runs the upgrade since this deploy, or one that it resumes.
func (st *staged) hasTaken(r *rollout) bool {
	return r.hasTaken() || r.reportsUpgrade() && r.session != nil && st.tookEarlier(r)
}

// hasTaken: the machine runs the upgrade since its agent has committed it in this deploy, or, where it was adopted, in one that this resumes.
func (r *rollout) hasTaken() bool {
	return r.reportsUpgrade() && !r.status.UpToDate && r.session != nil
}

// tookEarlier: the machine was found up to date, since a deploy that this one resumes, or an earlier attempt of this one, has committed there,
// and its agent is gone, or its VM has restarted since. Its VM tells whose code it runs, unless its release lacks the package: then it is what
// the deploy that is resumed was to bring, unless the same was recorded before.
func (st *staged) tookEarlier(r *rollout) bool {
	if !r.status.UpToDate {
		return false
	}
	if ran := r.status.Ran; ran != nil && (ran.Own || ran.Upgrade != "") {
		return !ran.Own && (ran.Upgrade == st.upgrade.ID || slices.Contains(st.surveyed.chain, ran.Upgrade))
	}
	u := st.surveyed.before(r.machine)
	return st.surveyed.resumes && (u == nil || u.SHA256 != st.upgrade.SHA256)
}

// takeBackTo takes machines back to an earlier upgrade, nil for the image's code.
func (c *committing) takeBackTo(ctx context.Context, to *engine.HotUpgrade, machines []*rollout, why string) error {
	back, accepted, err := c.stageBack(ctx, to, machines)
	defer c.withSettleTimeout(ctx, func(ctx context.Context) { c.settleAgents(ctx, back.machines) })
	if err == nil {
		err = c.commitBack(ctx, back, accepted, why)
	}
	for i, r := range machines {
		r.endBack(back.machines[i], back.upgrade.Version, err)
	}
	c.forget(filter(machines, (*rollout).isTakenBack))
	return err
}

// stageBack packs and stages the code of before. It gives the machines as far as they got, and the blockers that are accepted.
func (c *committing) stageBack(ctx context.Context, to *engine.HotUpgrade, machines []*rollout) (*staged, []string, error) {
	j := *c.job
	j.settings.Strategy, j.settings.Yes, j.settings.Ask, j.settings.SkipBusy = engine.Strategy{Kind: engine.StrategyAll}, true, false, false
	j.settings.ApplyConfig = false       // the upgrade says whether there is one to take back
	j.settings.MaxFailed = len(machines) // one that cannot go back keeps no other from it
	s := *c.surveyed
	s.in, s.out, s.earlier, s.resumes, s.image = nil, nil, nil, false, c.upgrade.BaseImage
	st := &staged{job: &j, surveyed: &s, held: c.held, back: true}
	for _, r := range machines {
		s.in = append(s.in, r.machine)
		st.machines = append(st.machines, newAttemptOf(r))
	}
	if to != nil {
		s.earlier = &record.Record{Past: engine.Past{ID: to.ID, At: to.DeployedAt}, Upgrade: engine.Upgrade{
			ID: to.ID, Version: to.Version, SourceImage: to.SourceImageRef, TarballURL: to.TarballURL, SHA256: to.SHA256, Size: to.Size, Agent: to.Agent, ApplyConfig: to.ApplyConfig, ApplyChildren: to.ApplyChildren,
		}}
	}
	u := c.upgrade
	u.SHA256, u.Size, u.TarballURL, u.SourceImage, u.Agent = "", 0, "", "", engine.CompiledAgent{}
	var err error
	st.packed, err = j.pack(ctx, &s, u)
	st.upgrade = st.packed.upgrade
	if err != nil {
		return st, nil, err
	}
	c.withSettleTimeout(ctx, func(ctx context.Context) {
		_ = c.each(ctx, machines, func(ctx context.Context, r *rollout) error { return r.session.Finish(ctx) }) // their place is needed
	})
	p, err := st.stage(ctx)
	if err != nil {
		return st, nil, err
	}
	accepted, err := c.acceptBack(ctx, p)
	return st, accepted, err
}

// newAttemptOf starts over on a machine, beside its rollout.
func newAttemptOf(r *rollout) *rollout {
	next := *r
	next.newAttempt()
	next.boots = r.hasEnded()
	return &next
}

// commitBack commits what was staged, and has current.json name what it named before.
func (c *committing) commitBack(ctx context.Context, back *staged, accepted []string, why string) error {
	book := c.bookOfBack(back.job, why)
	work := &committing{staged: back, book: book, accepted: accepted}
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning,
		Text: fmt.Sprintf("taking %s back to %s", text.Counted(len(back.machines), "machine"), back.upgrade.Version)})
	err := work.wave(ctx, wave{number: 1, of: 1, machines: filter(back.machines, (*rollout).isStaged)})
	back.resolve(ctx, back.machines)
	if again := filter(back.machines, (*rollout).mayStartAfresh); len(again) > 0 && context.Cause(ctx) == nil {
		err = c.afresh(ctx, work, again)
		back.resolve(ctx, again)
	}
	err = errors.Join(err, back.each(ctx, filter(back.machines, (*rollout).isUnverified), func(ctx context.Context, r *rollout) error {
		return back.verifyMachine(ctx, r, book)
	}))
	var unwritten error
	c.withSettleTimeout(ctx, func(ctx context.Context) { unwritten = book.writeRest(ctx) })
	return errors.Join(err, unwritten)
}

// bookOfBack gives a ledger that has current.json name for machines what it named before.
func (c *committing) bookOfBack(j *job, why string) *ledger {
	book := newLedger(j, c.surveyed, c.upgrade, c.held)
	book.knowOwnCode(c.staged)
	book.back = &engine.TakenBack{
		ID: cmp.Or(c.surveyed.tried, c.upgrade.ID), Version: c.upgrade.Version, SHA256: c.upgrade.SHA256, At: c.surveyed.target.Storage.Clock().UTC().Truncate(time.Second), Why: why,
	}
	return book
}

// endBack says how a machine stands after it was to be taken back.
func (r *rollout) endBack(back *rollout, version string, err error) {
	r.attempt = back.attempt
	unknown := back.endUnknown() || back.isUnverified()
	if r.hasEnded() && (back.isUpgraded() || unknown) { // another VM of it was looked at
		r.state = back.state
	}
	if back.isUpgraded() {
		r.back, r.backTo = takenBackOf(back.status), version
		r.move(engine.MachineTakenBack, engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusSkipped, Text: "taken back: it runs " + version + " again; " + r.back.String()})
		return
	}
	why := back.problem
	if why == nil {
		why = engine.AsProblem(err)
	}
	what := "it could not be taken back"
	if why != nil {
		what += ": " + why.What
	}
	r.attempt++
	if r.hasEnded() {
		r.stays = engine.NewProblem("back_failed", what, nil, engine.Remedies["back_ended"])
		r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusFailed, Problem: r.stays})
		return
	}
	if !r.isSick() && !unknown { // it is well, and others had failed
		r.stays = engine.NewProblem("back_failed", what, nil, engine.Remedies["back_failed"])
		r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusFailed, Problem: r.stays})
		return
	}
	if r.isSick() {
		what = r.sick.What + "; " + what
	}
	r.sick = engine.NewProblem("unhealthy", what, nil, engine.Remedies["back_failed"])
	if unknown {
		r.move(engine.MachineUnknown, engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusUnknown, Problem: r.sick})
		return
	}
	if r.isUnverified() { // verify asks its VM once more
		r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusFailed, Problem: r.sick})
		return
	}
	r.move(engine.MachineUnhealthy, engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusFailed, Problem: r.sick})
}
