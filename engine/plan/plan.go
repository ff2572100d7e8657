// Package plan makes the plan of a deploy from what was found. It is pure, so it can be tested without a fleet.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
)

// Facts is everything that a plan is made from.
type Facts struct {
	Upgrade  engine.Upgrade
	Strategy engine.Strategy
	Machines []Machine        // those that take part, in the deploy's order
	LeftOut  []engine.Machine // with their reasons
	Fleet    []engine.Machine // all of the app's machines
	Recorded engine.Metadata  // current.json as the deploy found it
	Storage  engine.Storage   // only Differs is used
	Earlier  *Earlier         // nil unless an earlier deploy's code is deployed again
	// RunsReleaseCommand: Upgrade.ReleaseCommand is run before anything is suspended.
	RunsReleaseCommand bool
	// MaxFailed is how many machines may fail: so many that could not be staged do not block the others.
	MaxFailed int
	// Own are findings about the deploy itself, whatever it meets.
	Own []engine.Finding
	// CanGoCold: the image could go to all machines by a cold deploy.
	CanGoCold bool
}

// Machine is what staging found on one machine.
type Machine struct {
	engine.MachinePlan
	State    engine.MachineState
	Modules  []engine.ModuleChange
	Findings []engine.Finding // the agent's, without Machines
}

// Earlier is the deploy whose code is deployed again.
type Earlier struct {
	ID        string
	BaseImage string // of the machines that it was made for
	At        time.Time
}

// Make makes the plan. It does not change the facts, and the same facts give the same plan.
func Make(f Facts) *engine.Plan {
	groups := toCommit(f)
	p := &engine.Plan{
		Upgrade: f.Upgrade, Strategy: f.Strategy.Describe(groups...), LeftOut: f.LeftOut,
		Waits: f.Strategy.Pause == engine.PauseForKey && len(f.Strategy.Waves(groups...)) > 1, Modules: modules(f.Machines), Findings: findings(f),
	}
	for _, m := range f.Machines {
		p.Machines = append(p.Machines, m.MachinePlan)
	}
	p.Verdict = p.Judge()
	p.MayGoCold = f.CanGoCold && p.Verdict.Word == engine.VerdictCold
	return p
}

// toCommit counts the machines that a commit would change, by the groups of which waves hold one each.
func toCommit(f Facts) []int {
	staged := slices.DeleteFunc(slices.Clone(f.Machines), func(m Machine) bool { return m.State != engine.MachineStaged })
	_, sizes := engine.Grouped(f.Strategy.By, staged, func(m Machine) engine.Machine { return m.Machine })
	return sizes
}

// modules gives the changes of all machines, each once, sorted. Of a module's functions those are taken of the machine that names most.
func modules(machines []Machine) []engine.ModuleChange {
	seen := map[engine.ModuleChange]int{} // without functions: its place in changes
	changes := []engine.ModuleChange{}
	for _, m := range machines {
		for _, c := range m.Modules {
			bare := c
			bare.Functions = nil
			i, known := seen[bare]
			switch {
			case !known:
				seen[bare] = len(changes)
				changes = append(changes, c)
			case namesMore(c.Functions, changes[i].Functions):
				changes[i].Functions = c.Functions
			}
		}
	}
	slices.SortFunc(changes, func(a, b engine.ModuleChange) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Change, b.Change))
	})
	return changes
}

func namesMore(a, b *engine.FunctionChanges) bool {
	return a != nil && (b == nil || a.Total()-a.More > b.Total()-b.More)
}

// findings joins the findings of all machines, so that each appears once, and adds those about the fleet. The worst come first.
func findings(f Facts) []engine.Finding {
	all := findingSet{}
	tolerated := failed(f.Machines) <= f.MaxFailed
	for _, m := range f.Machines {
		for _, found := range MachineFindings(m, f.Upgrade.BaseImage) {
			if tolerated && m.Problem != nil && isFailure(found) {
				found.Severity = engine.SeverityWarn
			}
			all.add(f.migrated(found), m.Machine.ID)
		}
	}
	for _, m := range f.LeftOut {
		if m.State == engine.StateSuspended {
			all.add(engine.Finding{
				Name: "suspended", Severity: engine.SeverityWarn, What: "it is suspended, and will wake with old code",
				Remedy: fmt.Sprintf("It catches up within seconds, if its release has the package fly_deploy and calls the startup hook. If not, start it (`fly machine start %s`) and deploy again, or stop it, so that it boots the next time.", m.ID),
			}, m.ID)
		}
	}
	for _, m := range f.Fleet {
		if m.Lease.Held() && m.LeftOut == "" && m.Temporary == "" {
			all.add(engine.Finding{
				Name: "leased", Severity: engine.SeverityWarn, What: "its lease is held by " + m.Lease.Holder() + ", who may be changing the machine",
				Remedy: engine.Remedies["leased"],
			}, m.ID)
		}
	}
	for _, m := range forgotten(f) { // whose image is another one than the deploy's
		images := engine.ImageNames(f.Recorded.FullImage(), f.Upgrade.BaseImage)
		all.add(engine.Finding{
			Name: "clears_record", Severity: engine.SeverityBlock,
			What: fmt.Sprintf("it runs image %s, for which current.json records an upgrade. That record is replaced by one for image %s, so the machine's next start leads back to its image",
				images[0], images[1]),
			Remedy: engine.Remedies["clears_record"],
		}, m.ID)
	}
	for _, t := range f.Recorded.TakenBack() {
		if t.SHA256 == f.Upgrade.SHA256 && t.SHA256 != "" {
			all.add(engine.Finding{
				Name: "taken_back", Severity: engine.SeverityBlock,
				What:   fmt.Sprintf("version %s was taken back on %s (deploy %s): %s", t.Version, t.At.Format("2006-01-02 at 15:04 UTC"), t.ID, t.Why),
				Remedy: engine.Remedies["taken_back"],
			}, "")
		}
	}
	for _, found := range earlier(f) {
		all.add(found, "")
	}
	for _, found := range f.Own {
		all.add(found, "")
	}
	if found, is := f.releaseCommand(); is {
		all.add(found, "")
	}
	if found, differs := f.Storage.SettingsFinding(); differs {
		all.add(found, "")
	}
	return all.sorted()
}

// failed counts the machines that could not be staged.
func failed(machines []Machine) int {
	n := 0
	for _, m := range machines {
		if m.Problem != nil {
			n++
		}
	}
	return n
}

func isFailure(f engine.Finding) bool { return f.Name == "staging_failed" || f.Name == "vm_down" }

// MachineFindings gives the findings about one machine: its agent's, and those about its state and its image. baseImage is the image
// of the deploy's machines.
func MachineFindings(m Machine, baseImage string) []engine.Finding {
	found := slices.Clone(m.Findings)
	switch {
	case m.State == engine.MachineDown:
		what := "its VM does not run, so it would keep its old code"
		if m.Problem != nil {
			what = m.Problem.What
		}
		found = append(found, engine.Finding{Name: "vm_down", Severity: engine.SeverityBlock, What: what, Remedy: engine.Remedies["vm_down"]})
	case m.Problem != nil:
		found = append(found, engine.Finding{Name: "staging_failed", Severity: engine.SeverityRefuse, What: m.Problem.What, Remedy: m.Problem.Remedy})
	}
	if !engine.SameImage(m.Machine.FullImage(), baseImage) {
		images := engine.ImageNames(m.Machine.FullImage(), baseImage)
		found = append(found, engine.Finding{
			Name: "other_image", Severity: engine.SeverityRefuse,
			What:   fmt.Sprintf("it runs image %s, and the others run %s", images[0], images[1]),
			Remedy: "Bring all machines to one image by a cold deploy (`fly deploy`), or select only machines of one image.",
		})
	}
	return found
}

// forgotten gives the machines outside of the deploy whose recorded upgrade would be lost, since current.json is for machines of
// one image only.
func forgotten(f Facts) []engine.Machine {
	if engine.SameImage(f.Recorded.FullImage(), f.Upgrade.BaseImage) {
		return nil
	}
	out := engine.ByID(f.LeftOut)
	var machines []engine.Machine
	for _, m := range f.Fleet {
		why := out[m.ID].LeftOut
		if _, upgraded := f.Recorded.UpgradeOf(m); upgraded && m.LeftOut == "" && why != "" && why != engine.LeftOutNoVM {
			machines = append(machines, m)
		}
	}
	return machines
}

// earlier gives the findings about deploying an earlier deploy's code again.
func earlier(f Facts) []engine.Finding {
	if f.Earlier == nil {
		return nil
	}
	var found []engine.Finding
	if base := f.Earlier.BaseImage; base != "" && !engine.SameImage(base, f.Upgrade.BaseImage) {
		images := engine.ImageNames(base, f.Upgrade.BaseImage)
		found = append(found, engine.Finding{
			Name: "other_base", Severity: engine.SeverityBlock,
			What:   fmt.Sprintf("deploy %s was made for machines of image %s, and these run %s", f.Earlier.ID, images[0], images[1]),
			Remedy: engine.Remedies["other_base"],
		})
	}
	if now := f.Recorded.HotUpgrade; now != nil && now.SHA256 != f.Upgrade.SHA256 && now.ID > f.Earlier.ID {
		found = append(found, engine.Finding{
			Name: "step_back", Severity: engine.SeverityWarn,
			What:   fmt.Sprintf("version %s was deployed after %s", now.Version, f.Upgrade.Version),
			Remedy: engine.Remedies["step_back"],
		})
	}
	return found
}
