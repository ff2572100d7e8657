package plan_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/plan"
	"flydeploy/text"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	base = "registry.fly.io/shop:v1"
	made = "registry.fly.io/shop:v2"
)

func upgrade() engine.Upgrade {
	return engine.Upgrade{ID: "01K9000000000000000000AAAA", OTPApp: "shop", Version: "2.0.0", SourceImage: made, BaseImage: base, SHA256: "aa"}
}

func machine(id, region, image string) engine.Machine {
	return engine.Machine{ID: id, Region: region, State: engine.StateStarted, ProcessGroup: "web", Image: image}
}

// staged is a machine whose agent has found carts to upgrade.
func staged(m engine.Machine, carts int, findings ...engine.Finding) plan.Machine {
	return plan.Machine{
		State: engine.MachineStaged,
		MachinePlan: engine.MachinePlan{
			Machine: m, Report: engine.MachineReport{ModulesChanged: 1, ModulesAdded: 1, Processes: carts},
			Processes: []engine.ProcessChange{{Module: "Shop.Cart", Kind: "gen_server", Count: carts}},
		},
		Modules:  []engine.ModuleChange{{Module: "Shop.Tax", App: "shop", Change: "added"}, {Module: "Shop.Cart", App: "shop", Change: "changed"}},
		Findings: findings,
	}
}

func found(name string, severity engine.Severity, what string) engine.Finding {
	return engine.Finding{Name: name, Severity: severity, What: what, Remedy: engine.Remedies[name]}
}

func lingering(what string) engine.Finding { return found("lingering", engine.SeverityBlock, what) }

// lost is a machine's finding about that many carts.
func lost(carts int) engine.Finding {
	f := found("stale_struct", engine.SeverityBlock,
		"%Shop.Cart{} without :coupon: is held by "+text.Counted(carts, "process")+" of Shop.Cart, and no code_change migrates it")
	f.Processes = carts
	return f
}

// The texts of the plans are in testdata. Run with -update to write them, and read the difference.
func TestPlans(t *testing.T) {
	web := []engine.Machine{machine("m1", "ams", base), machine("m2", "fra", base), machine("m3", "fra", base)}
	upToDate := plan.Machine{State: engine.MachineUpToDate, MachinePlan: engine.MachinePlan{Machine: web[2], UpToDate: true}}
	down := plan.Machine{State: engine.MachineDown, MachinePlan: engine.MachinePlan{
		Machine: web[1], Problem: engine.NewProblem("vm_down", "its VM did not start within 30s (no release runs on the machine), so it would keep its old code", nil, ""),
	}}
	broken := plan.Machine{State: engine.MachineFailed, MachinePlan: engine.MachinePlan{
		Machine: web[1], Problem: engine.NewProblem("disk_full", "the disk is full", nil, engine.Remedies["disk_full"]),
	}}
	stopped := machine("m4", "ams", base)
	stopped.State, stopped.LeftOut = engine.StateStopped, "stopped: it takes the upgrade at its next boot"
	suspended := machine("m5", "ams", base)
	suspended.State, suspended.LeftOut = engine.StateSuspended, "suspended: it catches up when it wakes, if its release calls the startup hook"
	blue := machine("b1", "ams", "registry.fly.io/shop:blue")
	left := blue
	left.LeftOut = engine.LeftOutNotSelected

	var leased []engine.Machine
	for _, m := range append(slices.Clone(web[:2]), stopped) {
		m.Lease = engine.Lease{Owner: "ann@example.com", Description: "fly deploy", Until: time.Unix(1764412800, 0)}
		leased = append(leased, m)
	}
	temporary := leased[0]
	temporary.ID, temporary.Temporary = "t1", "01K9"

	for name, f := range map[string]plan.Facts{
		"all at once": {Machines: []plan.Machine{staged(web[0], 303), staged(web[1], 12), staged(web[2], 0)}},
		"canary": {
			Machines: []plan.Machine{staged(web[0], 303), staged(web[1], 12), upToDate},
			Strategy: engine.Strategy{Kind: engine.StrategyCanary, Bake: 30e9}, LeftOut: []engine.Machine{stopped},
		},
		"the same finding on two machines": {Machines: []plan.Machine{
			staged(web[0], 1, lingering("Shop.Import: is still run, in an earlier version, by #PID<0.81.0>, #PID<0.82.0>, #PID<0.83.0> and 2 more")),
			staged(web[1], 1, lingering("Shop.Import: is still run, in an earlier version, by #PID<0.91.0>, #PID<0.92.0>, #PID<0.93.0> and 7 more")),
			staged(web[2], 1, lingering("Shop.Import: is still run, in an earlier version, by #PID<0.70.0>")),
		}},
		"the same finding about other numbers of processes": {Machines: []plan.Machine{
			staged(web[0], 1, lost(1)), staged(web[1], 303, lost(303)), staged(web[2], 12, lost(12)),
		}},
		"a VM is down":                   {Machines: []plan.Machine{staged(web[0], 303), down}},
		"staging failed on a machine":    {Machines: []plan.Machine{staged(web[0], 303), broken}},
		"a machine of another image":     {Machines: []plan.Machine{staged(web[0], 303), staged(machine("m2", "fra", "registry.fly.io/shop:v0"), 12)}},
		"a suspended machine":            {Machines: []plan.Machine{staged(web[0], 303)}, LeftOut: []engine.Machine{suspended}},
		"a fly deploy under way":         {Machines: []plan.Machine{staged(web[0], 303)}, Fleet: append(leased, web[2], temporary)},
		"another storage than machines'": {Machines: []plan.Machine{staged(web[0], 303)}, Storage: engine.Storage{Differs: []string{"another bucket"}}},
		"another image's record is cleared": {
			Machines: []plan.Machine{staged(web[0], 303)}, LeftOut: []engine.Machine{left}, Fleet: []engine.Machine{web[0], blue},
			Recorded: engine.Metadata{ImageRef: blue.Image, HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}},
		},
		"a step back": {
			Machines: []plan.Machine{staged(web[0], 303)}, Earlier: &plan.Earlier{ID: "01K9000000000000000000AAAA", BaseImage: base},
			Recorded: engine.Metadata{ImageRef: base, HotUpgrade: &engine.HotUpgrade{ID: "01K9000000000000000000BBBB", Version: "3.0.0", SHA256: "bb"}},
		},
		"made for other machines": {
			Machines: []plan.Machine{staged(web[0], 303)}, Earlier: &plan.Earlier{ID: "01K9000000000000000000AAAA", BaseImage: "registry.fly.io/shop:v0"},
		},
		"nothing of it applies": {Machines: []plan.Machine{{
			State: engine.MachineStaged, MachinePlan: engine.MachinePlan{Machine: web[0]},
			Findings: []engine.Finding{
				found("config_changed", engine.SeverityBlock, "runtime.exs: differs in :shop, :color, and is not applied before the next cold deploy"),
				found("nothing_hot", engine.SeverityRefuse, "the release: none of it can be applied to a running VM: deploy cold"),
			},
		}}},
		"states would be lost": {Machines: []plan.Machine{staged(web[0], 303,
			lost(303),
			found("init_changed", engine.SeverityWarn, "Shop.Cart: now calls :ets.new/2 when it starts; running processes have not done that"),
		)}},
		"nothing to do": {Machines: []plan.Machine{upToDate}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Upgrade = upgrade()
			golden(t, name, plan.Make(f).String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the plan is\n%s\nand not\n%s", got, want)
	}
}

// Making a plan changes none of its facts, and the same facts give the same plan.
func TestMakeIsPure(t *testing.T) {
	m := machine("m1", "ams", base)
	f := plan.Facts{Upgrade: upgrade(), Machines: []plan.Machine{
		staged(m, 3, lingering("a")), staged(machine("m2", "fra", base), 3, lingering("a"), lingering("b")),
	}}
	first := plan.Make(f).String()
	if second := plan.Make(f).String(); first != second {
		t.Errorf("first\n%s\nthen\n%s", first, second)
	}
	if found := f.Machines[0].Findings[0]; found.Machines != nil {
		t.Errorf("a fact was changed: %+v", found)
	}
}

// A strategy that waits for somebody after each wave but the last waits only where there are several.
func TestAPlanThatWaits(t *testing.T) {
	one, two := staged(machine("m1", "ams", base), 1), staged(machine("m2", "fra", base), 1)
	for _, c := range []struct {
		machines []plan.Machine
		pause    time.Duration
		waits    bool
	}{{[]plan.Machine{one, two}, engine.PauseForKey, true}, {[]plan.Machine{one}, engine.PauseForKey, false}, {[]plan.Machine{one, two}, time.Minute, false}} {
		p := plan.Make(plan.Facts{Upgrade: upgrade(), Strategy: engine.Strategy{Kind: engine.StrategyCanary, Pause: c.pause}, Machines: c.machines})
		if p.Waits != c.waits {
			t.Errorf("%d machines, pause %s: waits %t", len(c.machines), c.pause, p.Waits)
		}
	}
}
