package deploy

import (
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
	"flydeploy/engine/target"
	"flydeploy/text"
)

// ledger writes into current.json what verified machines run: at once, so that a machine that restarts while the deploy goes on
// boots what it ran, and at the end for the whole fleet.
type ledger struct {
	*job
	scope   *scope
	upgrade engine.Upgrade
	held    *lock.Held

	writing chan struct{} // holds a token while nobody changes current.json
	changed time.Time     // when current.json was written last; the token's holder has it
	mu      sync.Mutex
	entries []*entry
}

// gatherFor is the least time between two writes under way: machines that are verified meanwhile are written together.
const gatherFor = 500 * time.Millisecond

// entry is one verified machine.
type entry struct {
	machine engine.Machine
	runs    engine.HotUpgrade
	written bool
}

func newLedger(j *job, s *scope, u engine.Upgrade, held *lock.Held) *ledger {
	l := &ledger{job: j, scope: s, upgrade: u, held: held, writing: make(chan struct{}, 1)}
	l.unlock()
	return l
}

// lock waits until nobody else changes current.json; false: ctx ended before.
func (l *ledger) lock(ctx context.Context) bool {
	select {
	case <-l.writing:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *ledger) unlock() { l.writing <- struct{}{} }

// enter records a machine that has just been verified. Those that come while another one is being written are recorded together by
// the next. What cannot be written now is written at the end.
func (l *ledger) enter(ctx context.Context, r *rollout) {
	e := &entry{machine: r.machine, runs: l.hotUpgrade(r)}
	l.mu.Lock()
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	if !l.lock(ctx) {
		return
	}
	defer l.unlock()
	if !e.written {
		_ = run.Wait(ctx, gatherFor-time.Since(l.changed)) // the whole document is written each time
		if _, err := l.change(ctx, nil); err != nil {
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
		DeployedAt: l.scope.target.Storage.Clock().UTC().Truncate(time.Second), SHA256: l.upgrade.SHA256, Size: l.upgrade.Size, ID: l.upgrade.ID,
		Fingerprint: r.code.Fingerprint,
	}
}

// record writes the end: what single machines run, or what the whole fleet runs. after is the fleet as it is now, nil where that is
// not known.
func (j *job) record(ctx context.Context, st *staged, book *ledger, after []engine.Machine) error {
	return j.phase(engine.PhaseMetadata, "", nil, func() (string, error) {
		book.keepOnly(those(st.machines, (*rollout).isUpgraded))
		var whole func(engine.Machine) bool
		if after != nil {
			whole = j.wholeFleet(ctx, st, after)
		}
		if !book.lock(ctx) {
			return "", fmt.Errorf("write current.json: %w", context.Cause(ctx))
		}
		defer book.unlock()
		md, err := book.change(ctx, &ending{fleet: after, counts: whole})
		for err != nil && !refused(err) && run.Wait(ctx, lookAgainAfter) == nil { // nothing else tells restarted machines what to boot
			md, err = book.change(ctx, &ending{fleet: after, counts: whole})
		}
		for _, r := range st.machines {
			if r.state == engine.MachineVerified && book.has(r.machine.ID) {
				r.move(engine.MachineRecorded, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone})
			}
		}
		if err != nil { // md is what would have been written
			return "", err
		}
		return metadataText(md, st.upgrade.SHA256), nil
	})
}

// refused: current.json is not ours to change, whatever the storage answers next.
func refused(err error) bool {
	name := engine.AsProblem(err).Name
	return name == "foreign_metadata" || name == "metadata_busy"
}

// keepOnly forgets machines that were verified, and are not what they were any more.
func (l *ledger) keepOnly(machines []*rollout) {
	keep := map[string]bool{}
	for _, r := range machines {
		keep[r.machine.ID] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return !keep[e.machine.ID] })
}

// has: the machine's upgrade is written.
func (l *ledger) has(id string) bool {
	return slices.ContainsFunc(l.all(), func(e *entry) bool { return e.machine.ID == id && e.written })
}

func (l *ledger) all() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func metadataText(md engine.Metadata, sha256 string) string {
	if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == sha256 && len(md.MachineUpgrades) == 0 {
		return "the whole fleet runs " + md.HotUpgrade.Version
	}
	return text.Counted(len(md.MachineUpgrades), "machine") + " recorded apart from the fleet" // with this upgrade or others
}

// ending is what the last write of a deploy knows: the fleet as it is now, and which machines count as the whole fleet (nil where
// that is not known).
type ending struct {
	fleet  []engine.Machine
	counts func(engine.Machine) bool
}

// change changes current.json to what was verified, over the very version that was read, again where somebody else wrote in
// between. end is nil while the deploy is under way. The caller has the token.
func (l *ledger) change(ctx context.Context, end *ending) (engine.Metadata, error) {
	records := l.scope.target.Storage.Records
	for range 5 {
		md, etag, err := records.Metadata(ctx)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return md, fmt.Errorf("read current.json: %w", err)
		}
		if err := checkOwner(md, l.upgrade.BaseImage); err != nil {
			return md, err
		}
		entered := l.update(&md, end)
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
		"Something else keeps writing it: is an old fly_deploy running? The machines run the new code; deploy again to record it.")
}

// lost: somebody else may deploy by now.
func (l *ledger) lost() bool { return l.held.Lost() != nil }

// update changes md to what the verified machines run. Metadata of another image starts anew in the same write.
func (l *ledger) update(md *engine.Metadata, end *ending) (entered []*entry) {
	if !engine.SameImage(md.ImageRef, l.upgrade.BaseImage) {
		if l.lost() && md.ImageRef != "" {
			return nil
		}
		md.ImageRef, md.HotUpgrade, md.MachineUpgrades = l.upgrade.BaseImage, nil, nil
	}
	if md.MachineUpgrades == nil {
		md.MachineUpgrades = map[string]engine.HotUpgrade{}
	}
	for _, e := range l.all() {
		if l.lost() && !l.asBefore(*md, e.machine) {
			continue
		}
		entered = append(entered, e)
		md.MachineUpgrades[e.machine.ID] = e.runs
		if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == l.upgrade.SHA256 {
			delete(md.MachineUpgrades, e.machine.ID)
		}
	}
	if end != nil && end.fleet != nil && !l.lost() {
		dropGone(md, end.fleet)
		l.unite(md, end)
	}
	return entered
}

// asBefore: nobody else has recorded another upgrade of the machine since we began. Without the lock that may happen.
func (l *ledger) asBefore(md engine.Metadata, m engine.Machine) bool {
	was, _ := l.scope.recorded.UpgradeOf(m)
	is, _ := md.UpgradeOf(m)
	return was.ID == is.ID || is.ID == l.upgrade.ID
}

// dropGone forgets machines that do not exist any more.
func dropGone(md *engine.Metadata, fleet []engine.Machine) {
	found := engine.ByID(fleet)
	for id := range md.MachineUpgrades {
		if _, there := found[id]; !there {
			delete(md.MachineUpgrades, id)
		}
	}
}

// unite moves the upgrade to hot_upgrade when every machine that could boot this release has it.
func (l *ledger) unite(md *engine.Metadata, end *ending) {
	mine, some := engine.HotUpgrade{}, false
	for _, m := range end.fleet {
		if !end.counts(m) {
			continue
		}
		u, ok := md.UpgradeOf(m)
		if !ok || u.SHA256 != l.upgrade.SHA256 {
			return
		}
		mine, some = u, true
	}
	if some {
		md.HotUpgrade, md.MachineUpgrades = &mine, nil
	}
}

// wholeFleet tells which machines of the fleet as it is now count: those of this image that run, but for those that run no
// release. Machines that were not selected are asked whether they do, unless one that was selected has not the upgrade anyway.
func (j *job) wholeFleet(ctx context.Context, st *staged, fleet []engine.Machine) func(engine.Machine) bool {
	out := engine.ByID(st.leftOut)
	now := engine.ByID(fleet)
	without := map[string]bool{}
	runsRelease := map[string]bool{}
	for _, r := range st.machines {
		runsRelease[r.machine.ProcessGroup] = true
	}
	counts := func(m engine.Machine) bool {
		return m.Temporary == "" && engine.WhyLeftOut(m) == "" && engine.SameImage(m.Image, st.upgrade.BaseImage) && !without[m.ID]
	}
	for _, m := range st.leftOut {
		if m.LeftOut == engine.LeftOutNoVM {
			without[m.ID] = true
		}
	}
	if !everyOf(st.machines, (*rollout).isUpgraded) {
		return counts
	}
	for id, m := range out {
		u, _ := st.scope.recorded.UpgradeOf(m)
		if m.LeftOut != engine.LeftOutNotSelected || u.SHA256 == st.upgrade.SHA256 || !counts(now[id]) || runsRelease[m.ProcessGroup] {
			continue
		}
		if _, err := agent.Discover(ctx, target.ExecOn(j.ports.Fleet, id), j.settings.Release); !errors.Is(err, agent.ErrNoVM) {
			return counts // it runs one, and has not the upgrade
		}
		without[id] = true
	}
	return counts
}
