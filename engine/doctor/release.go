package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// examined is the release whose settings the check of the bucket uses.
type examined struct {
	otpApp  string
	storage map[string]string // secrets
}

// releases examines one VM for each image and process group, since the others have the same set-up. It gives the first release
// that was found, nil for none.
func (d *doctor) releases(ctx context.Context, all []engine.Machine) *examined {
	type kind struct{ image, group string }
	seen := map[kind]bool{}
	var first *examined
	for _, m := range all {
		k := kind{m.Image, m.ProcessGroup}
		if m.Temporary != "" || engine.WhyLeftOut(m) != "" || seen[k] {
			continue
		}
		seen[k] = true
		found := d.release(ctx, m)
		if first == nil {
			first = found
		}
	}
	if len(seen) == 0 {
		d.skip("no machine is started", "release")
	}
	return first
}

// release reports what hot upgrades need of a machine's release; nil if none runs there, or if it does not answer.
func (d *doctor) release(ctx context.Context, m engine.Machine) *examined {
	exec := target.ExecOn(d.Fleet, m.ID)
	vm, err := withinRetrying(ctx, func(ctx context.Context) (agent.VM, error) { return agent.Discover(ctx, exec, d.Release) })
	if errors.Is(err, agent.ErrNoVM) {
		d.on(m, engine.Check{Name: "release", Status: engine.CheckOK, Text: "process group " + cmp.Or(m.ProcessGroup, "app") + " runs no Elixir release and is left out"})
		return nil
	}
	if err != nil {
		d.on(m, engine.FailedCheck("release", err))
		return nil
	}
	d.on(m, engine.Check{Name: "release", Status: engine.CheckOK, Text: fmt.Sprintf("%s %s in %s, node %s", vm.Name, vm.Version, vm.Root, vm.Node)})
	if d.distribution(m, vm) {
		d.facts(ctx, m, vm)
	}
	return d.settings(ctx, m, vm)
}

func (d *doctor) on(m engine.Machine, c engine.Check) {
	c.Machine = m.ID
	d.report(c)
}

func (d *doctor) distribution(m engine.Machine, vm agent.VM) bool {
	if vm.Distribution != "none" {
		d.on(m, engine.Check{Name: "distribution", Status: engine.CheckOK, Text: "on (" + cmp.Or(vm.Distribution, "sname") + ")"})
		return true
	}
	d.on(m, engine.Check{
		Name: "distribution", Status: engine.CheckFail, Text: "the release starts without distribution, so its VM cannot be reached",
		Remedy: engine.Remedies["no_distribution"],
	})
	return false
}

// settings reads the release's storage settings; nil if its OTP application or the settings are not known.
func (d *doctor) settings(ctx context.Context, m engine.Machine, vm agent.VM) *examined {
	exec := target.ExecOn(d.Fleet, m.ID)
	found := &examined{otpApp: cmp.Or(d.OTPApp, vm.OTPApp)}
	if found.otpApp == "" {
		d.on(m, engine.FailedCheck("otp_app", target.NoOTPAppProblem(vm.Name)))
		return nil
	}
	var err error
	found.storage, err = withinRetrying(ctx, func(ctx context.Context) (map[string]string, error) {
		return agent.Storage(ctx, exec, vm)
	})
	if err != nil {
		d.on(m, engine.FailedCheck("storage_settings", err))
		return nil
	}
	if found.storage["AWS_ACCESS_KEY_ID"] == "" || found.storage["AWS_SECRET_ACCESS_KEY"] == "" {
		d.on(m, engine.Check{
			Name: "storage_settings", Status: engine.CheckFail, Text: "the release has no keys for a bucket",
			Remedy: "Run `fly storage create`, or `fly secrets set AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…`.",
		})
		return found // the console may have settings of its own
	}
	d.on(m, engine.Check{Name: "storage_settings", Status: engine.CheckOK, Text: "the release has keys for a bucket"})
	return found
}

// facts reports what the running VM says about itself.
func (d *doctor) facts(ctx context.Context, m engine.Machine, vm agent.VM) {
	exec := target.ExecOn(d.Fleet, m.ID)
	f, err := withinRetrying(ctx, func(ctx context.Context) (agent.Facts, error) { return agent.Probe(ctx, exec, vm) })
	if err != nil {
		d.on(m, engine.FailedCheck("vm", engine.NewProblem("vm_unreachable", "the running VM does not answer", err,
			"Check on the machine that `bin/"+vm.Name+" rpc` works: its cookie and node name must be those of the running VM.")))
		return
	}
	user := ""
	if f.User != "" {
		user = ", as uid " + f.User
	}
	d.on(m, engine.Check{Name: "vm", Status: engine.CheckOK, Text: fmt.Sprintf("answers; OTP %s, Elixir %s%s", f.OTP, f.Elixir, user)})
	for _, c := range []struct {
		name     string
		good     bool
		bad      engine.CheckStatus
		yes, no  string
		remedyOf string
	}{
		{"crypto", f.Crypto, engine.CheckFail, "in the release", "is not in the release: no tarball can be checked", "no_crypto"},
		{"ssl", f.SSL, engine.CheckFail, "in the release", "is not in the release: nothing can be downloaded over https", "no_ssl"},
		{"certificates", f.Certificates > 0, engine.CheckWarn, fmt.Sprintf("%d authorities", f.Certificates), "none that can be read: neither AWS_CA_BUNDLE's nor the system's nor castore's", "no_certificates"},
		{"files", len(f.Unwritable) == 0, engine.CheckFail, "the VM's user can write the release's files", unwritableText(f.Unwritable), "not_writable"},
		{"poller", !f.Poller, engine.CheckFail, "none", "FlyDeploy.Poller runs and would apply upgrades on its own", "poller_runs"},
		{"agent", !f.Agent, engine.CheckWarn, "no upgrade is under way", "an upgrade is under way in the VM", "agent_busy"},
	} {
		if c.good {
			d.on(m, engine.Check{Name: c.name, Status: engine.CheckOK, Text: c.yes})
		} else {
			d.on(m, engine.Check{Name: c.name, Status: c.bad, Text: c.no, Remedy: engine.Remedies[c.remedyOf]})
		}
	}
	d.hook(m, f.Hook, cmp.Or(d.OTPApp, vm.OTPApp))
	for _, problem := range undoneIn(f.Hook) {
		d.on(m, engine.Check{Name: "undone", Status: engine.CheckWarn, Text: problem.What, Remedy: problem.Remedy})
	}
	d.catchUp(m, f.Hook)
	d.signing(m, f.Hook)
	d.hooks[m.ID] = f.Hook
	d.clock("vm_clock", m.ID, "the machine's clock", f.Skew)
}

// hook mostly warns: without the hook an upgrade works until the machine restarts.
func (d *doctor) hook(m engine.Machine, reported agent.Hook, otpApp string) {
	if _, problem := hookOf(reported, otpApp); problem != nil {
		status := engine.CheckWarn
		if problem.Name == "boot_loop" { // it runs other code than the fleet
			status = engine.CheckFail
		}
		d.on(m, engine.Check{Name: "startup_hook", Status: status, Text: problem.What, Remedy: problem.Remedy})
		return
	}
	d.on(m, engine.Check{Name: "startup_hook", Status: engine.CheckOK, Text: "called when the VM started"})
}

// catchUp only tells: without it a machine that has missed an upgrade is brought back by a restart, or by the next deploy. It warns of a package
// that takes a freeze for a deploy under way: one that cannot read names in current.json is from before there were any.
func (d *doctor) catchUp(m engine.Machine, h agent.Hook) {
	switch c := h.CatchUp; {
	case c == nil:
		d.on(m, engine.Check{Name: "catch_up", Status: engine.CheckOK, Text: "no: after a suspension the machine runs the code with which it fell asleep"})
	case h.State == agent.HookCalled && !h.ReadsNames:
		d.on(m, engine.Check{Name: "catch_up", Status: engine.CheckWarn, Remedy: engine.Remedies["older_package"],
			Text: "after a suspension, but not during a freeze (`flydeploy lock acquire`): its image has an older package, which waits for the end of the lock"})
	case c.Mode == engine.CatchUpAlways:
		d.on(m, engine.Check{Name: "catch_up", Status: engine.CheckOK, Text: "after a suspension, and about every ten minutes"})
	default:
		d.on(m, engine.Check{Name: "catch_up", Status: engine.CheckOK, Text: "after a suspension"})
	}
}

func unwritableText(folders []string) string {
	const most = 3
	text := strings.Join(folders[:min(len(folders), most)], ", ")
	if more := len(folders) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "the VM's user cannot write " + text
}

// withinRetrying asks a machine within the time of one check, again if an answer gets lost.
func withinRetrying[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	return run.RetryUnknown(ctx, nil, func() (T, error) { return ask(ctx) })
}
