package deploy

import (
	"context"
	"errors"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
)

// A machine whose VM has ended since it took an upgrade boots it again, since current.json names it for the machine. Where the upgrade is taken
// back, the machine is to boot what ran before, and to run that at once if it has booted already.

// hasEnded: the VM that took the upgrade has ended.
func (r *rollout) hasEnded() bool {
	return r.state == engine.MachineRestarted || r.state == engine.MachineReplaced || r.state == engine.MachineStopped
}

// bootIt gives the machines whose VM has ended since it took the upgrade, and for which current.json names that.
func (c *committing) bootIt() []*rollout {
	if c.book == nil || c.tries() { // a trial ends, or is recorded nowhere
		return nil
	}
	verified := c.book.byMachine()
	return filter(c.machines, func(r *rollout) bool {
		u, named := c.surveyed.recorded.UpgradeOf(r.machine)
		return r.hasEnded() && r.session != nil && (verified[r.machine.ID] != nil || named && slices.Contains(c.surveyed.chain, u.ID))
	})
}

// takeBackBooted takes back the upgrade from machines that boot it.
func (c *committing) takeBackBooted(ctx context.Context, why string) error {
	ended := c.bootIt()
	if len(ended) == 0 {
		return nil
	}
	found := c.listed(ctx)
	var errs []error
	var boot []*rollout
	for _, r := range ended {
		m, there := found[r.machine.ID]
		if !there || !engine.SameImage(m.FullImage(), c.upgrade.BaseImage) { // it boots something else
			continue
		}
		r.machine = m
		if err := c.checkBefore(r, c.surveyed.before(m)); err != nil {
			r.endBack(newAttemptOf(r), "", err)
			errs = append(errs, err)
			continue
		}
		boot = append(boot, r)
	}
	c.withSettleTimeout(ctx, func(ctx context.Context) { errs = append(errs, c.restoreRecord(ctx, boot, why)) })
	return errors.Join(append(errs, c.takeBackAll(ctx, c.started(ctx, boot), why))...)
}

// listed gives the fleet as it is now, or else as it was.
func (c *committing) listed(ctx context.Context) map[string]engine.Machine {
	now, err := c.ports.Fleet.Machines(ctx)
	if err != nil {
		now = c.surveyed.target.Machines
	}
	return engine.ByID(now)
}

// started gives those of the machines that are started, or are within the time that a boot may take.
func (c *committing) started(ctx context.Context, machines []*rollout) []*rollout {
	for until := time.Now().Add(bootsWithin); anyOf(machines, func(r *rollout) bool { return r.machine.IsStarting() }); {
		if time.Now().After(until) || run.Wait(ctx, lookAgainAfter) != nil {
			break
		}
		found := c.listed(ctx)
		for _, r := range machines {
			if m, there := found[r.machine.ID]; there {
				r.machine = m
			}
		}
	}
	return filter(machines, func(r *rollout) bool { return r.machine.State == engine.StateStarted })
}

// restoreRecord has current.json name for machines what it named before.
func (c *committing) restoreRecord(ctx context.Context, machines []*rollout, why string) error {
	book := c.bookOfBack(c.job, why)
	told := c.book.byMachine()
	for _, r := range machines {
		e := &entry{machine: r.machine}
		if t := told[r.machine.ID]; t != nil {
			e.runs, e.imageCode = t.runs, t.imageCode
		}
		book.entries = append(book.entries, e)
	}
	err := book.writeRest(ctx)
	if err == nil {
		c.forget(machines)
	}
	return err
}

// forget has the deploy's own ledger not record machines again for which current.json names what ran before.
func (c *committing) forget(machines []*rollout) {
	if c.book != nil && len(machines) > 0 {
		c.book.drop(machines)
	}
}
