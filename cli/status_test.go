package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// After a cold deploy the record is for the image before; what is wrong with hooks is told once for all machines that share it.
func TestStatusTellsAStaleRecordAndMissingHooks(t *testing.T) {
	const before, now = "registry.fly.io/shop:deployment-01A", "registry.fly.io/shop:deployment-01B"
	hookless := engine.MachineCode{Hook: engine.HookMissing, HookProblem: &engine.Problem{What: "the release has none", Remedy: "Call it."}}
	o := engine.Overview{
		App:      "shop",
		Metadata: &engine.Metadata{ImageRef: before, HotUpgrade: &engine.HotUpgrade{Version: "1.2.4"}},
		Machines: []engine.Machine{
			{ID: "a1", State: engine.StateStarted, Image: now},
			{ID: "b2", State: engine.StateStarted, Image: now},
			{ID: "c3", State: engine.StateStarted, Image: before, Temporary: "01C"},
		},
		Stale: []string{"a1", "b2"},
		Code:  map[string]engine.MachineCode{"a1": hookless, "b2": hookless},
	}
	expect := func(says ...string) {
		t.Helper()
		var out strings.Builder
		if err := printStatus(&out, o); err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(out.String()), " ")
		for _, text := range says {
			if strings.Count(words, text) != 1 {
				t.Errorf("want %q once in:\n%s", text, out.String())
			}
		}
	}
	expect("hot upgrade: stale, recorded for the base image "+before, "deployment-01B stale image missing - b2", "deployment-01B stale image missing - c3",
		"startup hook of a1, b2: the release has none → Call it.", "a1, b2: the recorded upgrade is for another image (deployment-01A) than theirs",
		"The next hot deploy starts clean")

	o.Machines[0].Image, o.Stale = before, o.Stale[1:] // a rolling cold deploy is under way
	o.Code["a1"] = engine.MachineCode{Applied: true, Hook: engine.HookCalled}
	expect("hot upgrade: 1.2.4,", "deployment-01A 1.2.4 applied called - b2", "deployment-01B stale image missing - c3", "startup hook of b2:", " b2: the recorded upgrade")
}

// Whether production is well is known from the last deploy: status says how that has ended.
func TestStatusTellsHowTheLastDeployHasEnded(t *testing.T) {
	const why = "2.1.0 runs on 2 of 6 machines, and is not well: 214 crashes of Shop.Cart in 8 s: KeyError :step at cart.ex:41"
	for want, p := range map[string]engine.Past{
		"last deploy: unhealthy, not well, 2.1.0, 2026-11-30 17:40 (deploy 01B): " + why + "\n": {ID: "01B", Version: "2.1.0", Outcome: engine.OutcomeUnhealthy, Health: engine.HealthUnhealthy, Why: why},
		"last deploy: succeeded, well, 2.1.0, 2026-11-30 17:40 (deploy 01B)\n":                  {ID: "01B", Version: "2.1.0", Outcome: engine.OutcomeSucceeded, Health: engine.HealthHealthy},
		"last deploy: withdrawn, 2026-11-30 17:40 (deploy 01B)\n":                               {ID: "01B", Outcome: engine.OutcomeWithdrawn},
	} {
		p.At = time.Date(2026, 11, 30, 17, 40, 0, 0, time.Local)
		var out strings.Builder
		if err := printStatus(&out, engine.Overview{App: "shop", Last: &p}); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v, want %q in\n%s", err, want, out.String())
		}
	}
}

// What a boot, or a deploy, has left undone is told once for all machines that share it.
func TestStatusTellsWhatUpgradesHaveLeftUndone(t *testing.T) {
	const image = "registry.fly.io/shop:deployment-01A"
	lacks := engine.MachineCode{Applied: true, Hook: engine.HookCalled, Undone: []*engine.Problem{
		{Name: "child_not_started", What: "children of the upgrade do not run: Shop.Cache of Shop.Application (100%)", Remedy: "Fix it."},
	}}
	o := engine.Overview{
		App: "shop", Metadata: &engine.Metadata{ImageRef: image, HotUpgrade: &engine.HotUpgrade{Version: "1.2.4"}},
		Code: map[string]engine.MachineCode{"a1": lacks, "b2": lacks, "c3": {Applied: true, Hook: engine.HookCalled}},
	}
	for _, id := range []string{"a1", "b2", "c3"} {
		o.Machines = append(o.Machines, engine.Machine{ID: id, State: engine.StateStarted, Image: image})
	}
	var out strings.Builder
	if err := printStatus(&out, o); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, says := range []string{"1.2.4 incomplete called - b2", "1.2.4 incomplete called - c3", "1.2.4 applied called -",
		" a1, b2: children of the upgrade do not run: Shop.Cache of Shop.Application (100%) → Fix it."} {
		if strings.Count(words, says) != 1 {
			t.Errorf("want %q once in:\n%s", says, out.String())
		}
	}
}

// A machine that boots its image, since the upgrade has not lasted, is told once, with why and what to do.
func TestStatusTellsABootLoop(t *testing.T) {
	const image = "registry.fly.io/shop:deployment-01A"
	looped := engine.MachineCode{Stale: true, Hook: engine.HookGaveUp, HookProblem: engine.NewProblem("boot_loop",
		"the machine boots its image's code: hot upgrade 1.2.4 was loaded by the last two boots, and each ended within a minute", nil, engine.Remedies["boot_loop"])}
	o := engine.Overview{
		App: "shop", Metadata: &engine.Metadata{ImageRef: image, HotUpgrade: &engine.HotUpgrade{Version: "1.2.4"}},
		Machines: []engine.Machine{{ID: "a1", State: engine.StateStarted, Image: image}, {ID: "b2", State: engine.StateStarted, Image: image}},
		Code:     map[string]engine.MachineCode{"a1": looped, "b2": looped},
	}
	var out strings.Builder
	if err := printStatus(&out, o); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, says := range []string{
		"a1", "stale gave_up", "startup hook of a1, b2: the machine boots its image's code: hot upgrade 1.2.4 was loaded by the last two boots, and each ended within a minute → Deploy an upgrade that boots.",
	} {
		if !strings.Contains(words, says) {
			t.Errorf("want %q in:\n%s", says, out.String())
		}
	}
	if strings.Contains(words, "runs other code than recorded") || strings.Contains(words, "hot --resume") {
		t.Errorf("it says that the same upgrade helps:\n%s", out.String())
	}
}

// Hosts, leases and cordons are told once for all machines that share them.
func TestStatusTellsWhatOneShouldKnowOfMachines(t *testing.T) {
	deploying := engine.Lease{Owner: "ann@example.com", Description: "fly deploy", Until: time.Now()}
	var out strings.Builder
	err := printStatus(&out, engine.Overview{App: "shop", Machines: []engine.Machine{
		{ID: "a1", State: engine.StateStarted, Lease: deploying}, {ID: "b2", State: engine.StateStarted, Lease: deploying, HostStatus: "ok"},
		{ID: "c3", State: engine.StateStarted, HostStatus: "unknown"}, {ID: "d4", State: engine.StateStarted, Cordoned: true}, {ID: "e5", State: engine.StateStarted},
	}})
	for _, says := range []string{"\na1, b2: leased by ann@example.com (fly deploy)\n", "\nc3: host unknown\n", "\nd4: cordoned\n"} {
		if err != nil || !strings.Contains(out.String(), says) || strings.Contains(out.String(), "e5:") {
			t.Errorf("want %q in:\n%s%v", says, out.String(), err)
		}
	}
}

// A machine that lags says what it is going to do about that, or why it cannot.
func TestStatusTellsWhoLagsAndWhatBecomesOfThem(t *testing.T) {
	const image = "registry.fly.io/shop:deployment-01A"
	up := func(mode string, outcome engine.CatchUpOutcome, text string) engine.MachineCode {
		return engine.MachineCode{Stale: true, Hook: engine.HookCalled, CatchUp: &engine.CatchUp{Mode: mode, Outcome: outcome, Text: text}}
	}
	o := engine.Overview{
		App: "shop", Metadata: &engine.Metadata{ImageRef: image, HotUpgrade: &engine.HotUpgrade{Version: "1.2.4"}},
		Code: map[string]engine.MachineCode{
			"a1": {Stale: true, Hook: engine.HookCalled},
			"a2": up("after_suspension", "failed", "hot upgrade 1.2.4 was rolled back"),
			"a3": up("after_suspension", "waiting", "a deploy is under way"),
			"a4": up("after_suspension", "watching", ""),
			"a5": up("always", "gave_up", "the bucket answered 503"),
			"a6": up("always", "settled", "this machine runs a later upgrade than the recorded one"),
			"a7": {Applied: true, Hook: engine.HookCalled, CatchUp: &engine.CatchUp{Mode: "always", Outcome: "failed", Text: "long ago"}},
		},
	}
	for _, id := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7"} {
		o.Machines = append(o.Machines, engine.Machine{ID: id, State: engine.StateStarted, Image: image})
	}
	o.Machines = append(o.Machines, engine.Machine{ID: "b1", State: engine.StateSuspended, Image: image})
	var out strings.Builder
	if err := printStatus(&out, o); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, says := range []string{
		"lagging behind: 6 of 8 machines (a1, a2, a3, a4, a5, a6)", "1.2.4 asleep - -",
		"a1 runs other code than recorded: it woke from a suspension, or its startup hook is missing or failed; it does not catch up by itself.",
		"a2 runs other code than recorded: it cannot catch up by itself: hot upgrade 1.2.4 was rolled back.",
		"a3 runs other code than recorded: it is going to catch up by itself, and looks again within ten minutes: a deploy is under way.",
		"a4 runs other code than recorded: it checks for missed upgrades only after a suspension",
		"a5 runs other code than recorded: it no longer tries to catch up by itself: the bucket answered 503.",
		"a6 runs other code than recorded: it checks for missed upgrades about every ten minutes, and after a suspension; its last look said: this machine runs a later",
	} {
		if !strings.Contains(words, says) {
			t.Errorf("want %q in:\n%s", says, out.String())
		}
	}
	if strings.Contains(words, "long ago") {
		t.Errorf("a machine that runs what is recorded is blamed:\n%s", out.String())
	}
}

// What cannot be read is unknown, and not that there is none.
func TestStatusTellsWhatItCouldNotRead(t *testing.T) {
	o := engine.Overview{
		App: "shop", Storage: &engine.Problem{What: "403"}, Code: map[string]engine.MachineCode{"a1": {Hook: engine.HookCalled}},
		Machines: []engine.Machine{{ID: "a1", State: engine.StateStarted, Image: "registry.fly.io/shop:deployment-01A"}},
	}
	var out strings.Builder
	if err := printStatus(&out, o); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, says := range []string{"storage: 403", "hot upgrade and deploy lock: unknown", "deployment-01A unknown unknown called -"} {
		if !strings.Contains(words, says) {
			t.Errorf("want %q in:\n%s", says, out.String())
		}
	}
}

// Machines are named by whoever may change the app, and the bucket's documents are written by whoever has its keys.
func TestNothingThatOthersWroteSteersTheTerminal(t *testing.T) {
	const evil = "\x1b]0;title\a\u009b31m\u202e"
	expect := func(where, text string) {
		t.Helper()
		if strings.ContainsAny(text, "\x1b\a\u009b\u202e") {
			t.Errorf("%s: %q", where, text)
		}
	}

	broken := &engine.Problem{What: "no answer " + evil, Remedy: "Look " + evil}
	o := engine.Overview{
		App: "shop", Storage: broken, Code: map[string]engine.MachineCode{"a1": {Problem: broken}},
		Machines: []engine.Machine{{ID: "a1", Name: evil, Region: evil, State: evil, ProcessGroup: evil, Image: "registry.fly.io/shop:" + evil}},
	}
	var out strings.Builder
	if err := printStatus(&out, o); err != nil {
		t.Fatal(err)
	}
	expect("status", out.String())

	held := &engine.LockHeldError{Held: engine.LockInfo{LockedBy: "ann" + evil, DeploymentID: "01A" + evil, LockedAt: time.Now()}}
	out.Reset()
	(&report{out: &out}).add(engine.Check{Name: "lock", Status: engine.CheckWarn, Machine: evil, Text: held.Error(), Remedy: evil})
	expect("doctor", out.String())

	for _, err := range []error{usageError{held}, lockedError(held), errors.New(evil)} {
		expect("an error", complaintsOf(err))
	}
	if text := complaintsOf(broken); !strings.Contains(text, "\n  → Look") {
		t.Errorf("the remedy has no line of its own: %q", text)
	}
}

// complaintsOf is what an error says on stderr.
func complaintsOf(err error) string {
	var stderr strings.Builder
	exitCode(&stderr, "flydeploy", err)
	return stderr.String()
}
