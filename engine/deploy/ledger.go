package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/lock"
	"flydeploy/engine/run"
	"flydeploy/engine/sign"
)

// ledger writes into current.json what verified machines run: for each machine at once, so that one that restarts during the
// deploy boots what it ran, and for the whole fleet at the end.
type ledger struct {
	*job
	surveyed *surveyed
	// back: the machines were taken back, so that current.json names for them what it named before.
	back    *engine.TakenBack
	upgrade engine.Upgrade
	held    *lock.Held

	deployedAt func() time.Time // when its first machine was verified: entries that are alike are written once

	writing chan struct{} // holds a token while current.json is not being written
	changed time.Time     // when current.json was last written; guarded by the token
	mu      sync.Mutex
	entries []*entry
	vouched vouched
}

// gatherFor is the least time between two writes during the commit: machines that are verified meanwhile are written together.
const gatherFor = 500 * time.Millisecond

// entry is one verified machine.
type entry struct {
	machine engine.Machine
	runs    engine.HotUpgrade
	// imageCode is the fingerprint of the image's own code, "" if the VM does not know it.
	imageCode string
	trial     engine.MachineTrial // zero: it is on none
	written   bool
}

func newLedger(j *job, s *surveyed, u engine.Upgrade, held *lock.Held) *ledger {
	l := &ledger{job: j, surveyed: s, upgrade: u, held: held, writing: make(chan struct{}, 1)}
	l.deployedAt = sync.OnceValue(func() time.Time { return s.target.Storage.Clock().UTC().Truncate(time.Second) })
	l.unlock()
	return l
}

// lock takes the token to write current.json; false if ctx ends before.
func (l *ledger) lock(ctx context.Context) bool {
	select {
	case <-l.writing:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *ledger) unlock() { l.writing <- struct{}{} }

// add records a machine that has just been verified. Machines that are added while another one is being written are recorded
// together by the next write. What cannot be written now is written at the end.
func (l *ledger) add(ctx context.Context, r *rollout) {
	e := &entry{machine: r.machine, imageCode: r.code.ImageCode, trial: l.trialOf(r)}
	e.runs = l.sign(l.hotUpgrade(r), e.imageCode, r.machine.ID)
	l.mu.Lock()
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	if !l.lock(ctx) {
		return
	}
	defer l.unlock()
	if !e.written {
		_ = run.Wait(ctx, gatherFor-time.Since(l.changed)) // each write is of the whole document
		if _, err := l.write(ctx, nil); err != nil {
			l.rec.Log(engine.PhaseMetadata, fmt.Sprintf("current.json cannot be written now: %v", err))
		}
	}
	if e.written {
		r.move(engine.MachineRecorded, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone})
	}
}

func (l *ledger) hotUpgrade(r *rollout) engine.HotUpgrade {
	return engine.HotUpgrade{
		Version: l.upgrade.Version, SourceImageRef: l.upgrade.SourceImage, TarballURL: l.upgrade.TarballURL,
		DeployedAt: l.deployedAt(), SHA256: l.upgrade.SHA256, Size: l.upgrade.Size, ID: l.upgrade.ID,
		Fingerprint: r.code.Fingerprint, ReleaseCommand: l.upgrade.ReleaseCommand, ApplyConfig: l.upgrade.ApplyConfig, ApplyChildren: l.upgrade.ApplyChildren, GitRevision: l.upgrade.GitRevision, Agent: l.upgrade.Agent,
		ByName: r.readsNames(),
	}
}

// readsNames reports whether whatever reads the machine's entry in current.json can read it by name: without a startup hook nothing does.
func (r *rollout) readsNames() bool {
	return r.code.Hook.ReadsNames || r.code.Hook.State == agent.HookAbsent
}

// sign signs an entry of current.json, for one machine or for all ("").
func (l *ledger) sign(u engine.HotUpgrade, imageCode, machine string) engine.HotUpgrade {
	over := sign.Over{Image: l.upgrade.BaseImage, ImageCode: imageCode, Machine: machine}
	return l.ports.Keys.Upgrade(appOf(l.upgrade), u, over, l.surveyed.target.Storage.Clock())
}

// isSigned reports whether an entry of current.json is one that a machine may load, as far as signatures say.
func (l *ledger) isSigned(u engine.HotUpgrade, machine string) bool {
	return l.ports.Keys.CheckUpgrade(appOf(l.upgrade), u, l.upgrade.BaseImage, machine) == nil
}

func appOf(u engine.Upgrade) sign.App { return sign.App{Fly: u.App, OTP: u.OTPApp} }

// keepOnly drops all entries but those of these machines: the others have changed since they were verified.
func (l *ledger) keepOnly(machines []*rollout) {
	keep := map[string]bool{}
	for _, r := range machines {
		keep[r.machine.ID] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return !keep[e.machine.ID] })
}

// written gives the IDs of the machines whose upgrades were written.
func (l *ledger) written() map[string]bool {
	written := map[string]bool{}
	for _, e := range l.all() {
		written[e.machine.ID] = written[e.machine.ID] || e.written
	}
	return written
}

// hasEntry reports whether the machine was verified.
func (l *ledger) hasEntry(id string) bool {
	return slices.ContainsFunc(l.all(), func(e *entry) bool { return e.machine.ID == id })
}

func (l *ledger) all() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// finalWrite is what the last write of a deploy knows in addition: the fleet as it is now, and which of its machines count as the
// whole fleet. Both are nil if unknown.
type finalWrite struct {
	fleet  []engine.Machine
	counts func(engine.Machine) bool
}

// write changes current.json to what was verified, and retries if somebody else has written it in between. end is nil until the
// last write. The caller holds the token.
func (l *ledger) write(ctx context.Context, end *finalWrite) (engine.Metadata, error) {
	records := l.surveyed.target.Storage.Records
	for range 5 {
		md, etag, err := records.Metadata(ctx)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return md, fmt.Errorf("read current.json: %w", err)
		}
		if err := checkOwner(md, l.upgrade.BaseImage); err != nil {
			return md, err
		}
		entered := l.apply(&md, end)
		if !l.lockLost() {
			l.signOwnCode(ctx, &md)
		}
		if err = records.WriteMetadata(ctx, md, etag); err == nil {
			l.changed = time.Now()
			for _, e := range entered {
				e.written = true
			}
			return md, nil
		} else if !errors.Is(err, engine.ErrConflict) {
			return md, fmt.Errorf("write current.json: %w", err)
		}
	}
	return engine.Metadata{}, engine.NewProblem("metadata_busy", "write current.json", engine.ErrConflict,
		"Something else keeps writing current.json: is an old fly_deploy running? The machines run the new code; deploy again to record it.")
}

// lockLost reports whether somebody else may deploy by now.
func (l *ledger) lockLost() bool { return l.held.Lost() != nil }

// apply changes md to what the verified machines run, and gives the entries that it has written. Metadata of another image is
// replaced. After the lock was lost, only what nobody else has changed is written.
func (l *ledger) apply(md *engine.Metadata, end *finalWrite) (entered []*entry) {
	if !engine.SameImage(md.FullImage(), l.upgrade.BaseImage) {
		if l.lockLost() && md.ImageRef != "" {
			return nil
		}
		md.HotUpgrade, md.MachineUpgrades = nil, nil
		md.ForgetTrial()
	}
	md.EndTrials(l.surveyed.target.Storage.Clock())
	md.EndTrial(l.surveyed.over...)
	md.SetImage(l.upgrade.BaseImage)
	if md.MachineUpgrades == nil {
		md.MachineUpgrades = map[string]engine.HotUpgrade{}
	}
	var tried []engine.Trial
	var ended []string
	for _, e := range l.all() {
		if l.lockLost() && !l.unchangedByOthers(*md, e.machine) {
			continue
		}
		entered = append(entered, e)
		md.SetImageCode(e.imageCode)
		if t, on := l.onTrial(e); on {
			tried = append(tried, t)
			continue
		}
		ended = append(ended, e.machine.ID)
		if l.back != nil {
			l.restore(md, e)
			continue
		}
		md.MachineUpgrades[e.machine.ID] = e.runs
		// A signed entry stays: the machine may not load what was signed before this deploy.
		if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == l.upgrade.SHA256 && e.runs.Signature == nil {
			delete(md.MachineUpgrades, e.machine.ID)
		}
	}
	md.EndTrial(ended...)
	md.AddTrials(tried)
	if end != nil && end.fleet != nil && !l.lockLost() {
		dropGone(md, end.fleet)
		l.promote(md, end)
	}
	return entered
}

// writeRest writes what could not be written yet, again while that fails and there is time.
func (l *ledger) writeRest(ctx context.Context) error {
	if !slices.ContainsFunc(l.all(), func(e *entry) bool { return !e.written }) {
		return nil
	}
	if !l.lock(ctx) {
		return fmt.Errorf("write current.json: %w", context.Cause(ctx))
	}
	defer l.unlock()
	_, err := l.write(ctx, nil)
	for err != nil && !isRefused(err) && run.Wait(ctx, lookAgainAfter) == nil {
		_, err = l.write(ctx, nil)
	}
	return err
}

// unchangedByOthers reports whether the machine's upgrade in md is still the one that the deploy found, or its own.
func (l *ledger) unchangedByOthers(md engine.Metadata, m engine.Machine) bool {
	was, _ := l.surveyed.recorded.UpgradeOf(m)
	is, _ := md.UpgradeOf(m)
	return was.ID == is.ID || is.ID == l.upgrade.ID
}

// dropGone removes machines that do not exist any more.
func dropGone(md *engine.Metadata, fleet []engine.Machine) {
	found := engine.ByID(fleet)
	for id := range md.MachineUpgrades {
		if _, there := found[id]; !there {
			delete(md.MachineUpgrades, id)
		}
	}
}

// promote makes the upgrade the whole fleet's, hot_upgrade, if every machine that counts has it. Signed anew it is not older than what any of
// them has run: one that this deploy has not verified keeps what is named for it, which somebody else may have put there.
func (l *ledger) promote(md *engine.Metadata, end *finalWrite) {
	mine, some, imageCode := engine.HotUpgrade{}, false, ""
	keep := map[string]engine.HotUpgrade{}
	for _, m := range end.fleet {
		if !end.counts(m) {
			continue
		}
		u, ok := md.UpgradeOf(m)
		if !ok || u.SHA256 != l.upgrade.SHA256 || !l.isSigned(u, m.ID) {
			return
		}
		if l.ports.Keys.SignsWith() != "" && !l.hasEntry(m.ID) {
			keep[m.ID] = u
			continue
		}
		mine, some = u, true
		if u.Signature != nil { // as a VM has told it: image_code of current.json is whoever's
			imageCode = cmp.Or(imageCode, u.Signature.ImageCode)
		}
	}
	if some {
		mine = l.sign(mine, imageCode, "")
		md.HotUpgrade, md.MachineUpgrades = &mine, keep
	}
}
