package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
	"flydeploy/text"
)

// record writes the end of the deploy: what the whole fleet runs, or what single machines run. after is the fleet as it is now, nil
// if unknown.
func (j *job) record(ctx context.Context, st *staged, book *ledger, after []engine.Machine) error {
	return j.phase(engine.PhaseMetadata, "", nil, func() (string, error) {
		book.keepOnly(filter(st.machines, (*rollout).isUpgraded))
		var whole func(engine.Machine) bool
		if after != nil {
			whole = j.wholeFleet(ctx, st, after)
		}
		if !book.lock(ctx) {
			return "", fmt.Errorf("write current.json: %w", context.Cause(ctx))
		}
		defer book.unlock()
		end := &finalWrite{fleet: after, counts: whole}
		md, err := book.write(ctx, end)
		for err != nil && !isRefused(err) && run.Wait(ctx, lookAgainAfter) == nil { // nothing else says what restarted machines boot
			md, err = book.write(ctx, end)
		}
		written := book.written()
		for _, r := range st.machines {
			if r.state == engine.MachineVerified && written[r.machine.ID] {
				r.move(engine.MachineRecorded, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone})
			}
		}
		if err != nil { // md is what would have been written
			return "", err
		}
		return metadataText(md, st.upgrade.SHA256), nil
	})
}

// isRefused reports whether current.json is not ours to change, whatever the storage answers next.
func isRefused(err error) bool {
	name := engine.AsProblem(err).Name
	return name == "foreign_metadata" || name == "metadata_busy"
}

func metadataText(md engine.Metadata, sha256 string) string {
	others := 0
	for _, u := range md.MachineUpgrades {
		if u.SHA256 != sha256 {
			others++
		}
	}
	if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == sha256 && others == 0 {
		return "the whole fleet runs " + md.HotUpgrade.Version
	}
	return text.Counted(len(md.MachineUpgrades), "machine") + " recorded apart from the fleet" // with this upgrade or another one
}

// wholeFleet gives a function that says which machines of the fleet as it is now count: those of this image that run, except those
// without a release. Machines that were not selected are asked whether they have one, unless a selected machine lacks the upgrade,
// so that it does not matter.
func (j *job) wholeFleet(ctx context.Context, st *staged, fleet []engine.Machine) func(engine.Machine) bool {
	out := engine.ByID(st.leftOut)
	now := engine.ByID(fleet)
	without := map[string]bool{}
	runsRelease := map[string]bool{}
	for _, r := range st.machines {
		runsRelease[r.machine.ProcessGroup] = true
	}
	counts := func(m engine.Machine) bool {
		return m.Temporary == "" && engine.WhyLeftOut(m) == "" && engine.SameImage(m.FullImage(), st.upgrade.BaseImage) && !without[m.ID]
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
		u, _ := st.surveyed.recorded.UpgradeOf(m)
		if m.LeftOut != engine.LeftOutNotSelected || u.SHA256 == st.upgrade.SHA256 || !counts(now[id]) || runsRelease[m.ProcessGroup] {
			continue
		}
		if _, err := agent.Discover(ctx, target.ExecOn(j.ports.Fleet, id), j.settings.Release); !errors.Is(err, agent.ErrNoVM) {
			return counts // it runs one, without the upgrade
		}
		without[id] = true
	}
	return counts
}
