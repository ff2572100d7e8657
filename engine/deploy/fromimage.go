package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/release"
	"flydeploy/engine/run"
	"flydeploy/engine/sign"
	"flydeploy/engine/target"
)

// Packing without a temporary machine: this computer reads the release from the image's layers, and uploads what it makes of it. What
// only Elixir can say, which settings the new configuration has, a running VM is asked for. The agent must be known: to compile it would
// take a quarter of a GB and half a minute of a core, which no machine of the fleet is burdened with.

const fromLayers = "no temporary machine: the release is read from the image's layers"

// noTemporary says that no temporary machine can be had, and that none is needed.
type noTemporary struct{ why error }

func (e *noTemporary) Error() string {
	return fromLayers + " (" + strings.SplitN(engine.AsProblem(e.why).What, "\n", 2)[0] + ")"
}
func (e *noTemporary) Unwrap() error { return e.why }

// orWithout gives why a temporary machine could not be started; a *noTemporary where it goes without: Fly has no room, or lets the
// organization have no further machine.
func (j *job) orWithout(err error, u *engine.Upgrade) error {
	switch engine.AsProblem(err).Name {
	case "no_capacity", "over_quota", "payment_needed":
		if !errors.Is(err, engine.ErrUnknownOutcome) && j.settings.Source != engine.SourceMachine && j.ports.Image != nil && j.needsMachine(u) == nil {
			return &noTemporary{err}
		}
	}
	return err
}

// needsMachine says what only a temporary machine can do for a deploy, nil for nothing.
func (j *job) needsMachine(u *engine.Upgrade) error {
	option, why := "", ""
	switch {
	case j.settings.RunReleaseCommand:
		option, why = "--release-command", "runs the command in it"
	case u.ApplyConfig:
		option, why = "--apply-config", "has it read the configuration"
	default:
		return nil
	}
	return engine.NewProblem("source_needs_machine", "--source registry takes no temporary machine, and "+option+" "+why, nil,
		"Leave out one of the two. Where Fly has no room for a machine, ask for it in other regions: --temporary-region.")
}

// checkSource refuses what cannot go without a temporary machine, before anything is built.
func (j *job) checkSource() error {
	switch {
	case j.settings.Source != engine.SourceRegistry:
		return nil
	case j.ports.Image == nil:
		return engine.NewProblem("source_needs_machine", "this console reads no registry", nil, "Leave out --source registry.")
	}
	return j.needsMachine(&engine.Upgrade{ApplyConfig: j.settings.ApplyConfig})
}

// packHere makes the tarball on this computer, and uploads it with an agent that is known.
func (p *packing) packHere(ctx context.Context) error {
	if err := p.needsMachine(&p.upgrade); err != nil { // an upgrade that runs may apply its configuration, which this one then does
		return err
	}
	defer func() {
		if p.made != nil {
			p.made.Close()
		}
	}()
	err := p.phase(engine.PhaseTarball, "reading the new release from the image's layers", &p.upgrade, func() (text string, err error) {
		err = run.Within(ctx, packWithin, "Check the network, and deploy again.", func(ctx context.Context) error {
			text, err = p.packLayers(ctx)
			return err
		})
		return text, err
	})
	if err != nil {
		return err
	}
	return p.upload(ctx, p.missing(p.tarball())...)
}

// missing gives what is to be uploaded: a tarball after its agent, unless that is one of the bucket's.
func (p *packing) missing(tarball file) []file {
	if p.agentKey != "" {
		return []file{tarball}
	}
	return []file{p.agent(), tarball}
}

func (p *packing) packLayers(ctx context.Context) (string, error) {
	image := p.upgrade.SourceImage
	r, err := release.Read(ctx, p.ports.Image, image, p.target.VM.Root, p.count(engine.PhaseTarball, "layers"))
	if err != nil {
		return "", err
	}
	defer r.Close()
	texts, err := r.Texts(agent.SettingsFiles)
	if err != nil {
		return "", err
	}
	settings, err := p.readSettings(ctx, texts)
	if err != nil {
		return "", err
	}
	if p.made, err = r.Pack(ctx, p.target.OTPApp, settings.Lines, p.count(engine.PhaseTarball, "files")); err != nil {
		return "", fmt.Errorf("pack the release of %s: %w", image, err)
	}
	p.upgrade.SourceImage, p.upgrade.Version, p.upgrade.SHA256, p.upgrade.Size = r.Image, p.made.AppVersion, p.made.SHA256, p.made.Size
	if err := p.useKnownAgent(ctx, otpOf(r.ERTS, settings), r.Elixir(), settings); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s, %d files, %.1f MB", p.target.OTPApp, p.made.AppVersion, p.made.Entries, float64(p.made.Size)/1e6), nil
}

// settingsAskedOf bounds how many machines are asked, one after the other, for what the new release's settings are.
const settingsAskedOf = 3

// readSettings asks a machine that runs the release. Any can say it; the one that said where the bucket is comes first.
func (p *packing) readSettings(ctx context.Context, texts map[string]string) (settings agent.Settings, err error) {
	var ids []string
	for _, m := range p.surveyed.in {
		if m.ID == p.target.Machine {
			ids = append([]string{m.ID}, ids...)
		} else {
			ids = append(ids, m.ID)
		}
	}
	for _, id := range ids[:min(len(ids), settingsAskedOf)] {
		exec := target.ExecOn(p.ports.Fleet, id)
		settings, err = run.RetryUnknown(ctx, p.lostAnswer(engine.PhaseTarball, ""), func() (agent.Settings, error) {
			vm, err := agent.Discover(ctx, exec, p.settings.Release)
			if err != nil {
				return agent.Settings{}, err
			}
			return agent.ReadSettings(ctx, exec, vm, texts)
		})
		if err == nil || ctx.Err() != nil {
			return settings, err
		}
		err = fmt.Errorf("machine %s: %w", id, err)
		p.rec.Log(engine.PhaseTarball, engine.AsProblem(err).What)
	}
	return settings, err
}

// otpOf gives the OTP release of an emulator's version: the VM's own where that has the same, else what follows from how they are
// numbered since OTP 23.
func otpOf(erts string, here agent.Settings) string {
	major := func(version string) string { first, _, _ := strings.Cut(version, "."); return first }
	if major(erts) == major(here.ERTS) {
		return here.OTP
	}
	n, err := strconv.Atoi(major(erts))
	if err != nil {
		return "unknown"
	}
	return strconv.Itoa(n + 12)
}

// findAgent takes an agent that is known for an earlier deploy's tarball.
func (p *packing) findAgent(ctx context.Context) error {
	of := p.surveyed.earlier.Upgrade.Agent
	err := p.phase(engine.PhaseTarball, "looking for a compiled agent", &p.upgrade, func() (string, error) {
		return "the tarball is an earlier deploy's, the agent is known", p.useKnownAgent(ctx, of.OTP, of.Elixir, agent.Settings{OTP: of.OTP, Elixir: of.Elixir})
	})
	if err != nil {
		return err
	}
	if p.agentFile != nil {
		return p.upload(ctx, p.agent())
	}
	p.sign(p.packed, p.surveyed)
	p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: p.key + " is in the bucket already", Upgrade: copyOf(&p.upgrade)})
	return nil
}

// useKnownAgent takes the agent that this computer has kept, or one of the record in the bucket, for an OTP and an Elixir.
func (p *packing) useKnownAgent(ctx context.Context, otp, elixir string, here agent.Settings) error {
	if p.knowsAgent(otp, elixir) || p.recordHasAgent(ctx, otp, elixir) {
		return nil
	}
	what := fmt.Sprintf("no agent for OTP %s and Elixir %s is known, and without a temporary machine none is compiled", otp, cmp.Or(elixir, "of no version"))
	if otp != here.OTP || elixir != here.Elixir {
		what += fmt.Sprintf("; the machines run OTP %s and Elixir %s, so that this release goes cold", here.OTP, here.Elixir)
		return engine.NewProblem("no_agent", what, nil, "Deploy it cold: `fly deploy --image "+p.upgrade.SourceImage+"`.")
	}
	return engine.NewProblem("no_agent", what, nil, "Deploy once with --source machine, this app or another one with the same OTP and Elixir: this computer keeps the agent. "+
		"Where no machine can be had, copy the user's cache folder flydeploy/agents from a computer that has deployed so. Or deploy cold: `fly deploy`.")
}

// recordHasAgent looks for an agent in current.json, whose entries must be signed if anything is. It must still be in the bucket.
func (p *packing) recordHasAgent(ctx context.Context, otp, elixir string) bool {
	source, err := agent.SourceHash()
	if err != nil {
		return false
	}
	md := p.surveyed.recorded
	app := sign.App{Fly: p.settings.App, OTP: p.target.OTPApp}
	tried := map[string]bool{}
	has := func(machine string, u engine.HotUpgrade) bool {
		a := u.Agent
		if a.Source != source || a.OTP != otp || a.Elixir != elixir || !a.Valid() || tried[a.SHA256] ||
			p.ports.Keys.CheckUpgrade(app, u, md.FullImage(), machine) != nil {
			return false
		}
		tried[a.SHA256] = true
		key := keyOf(a.URL)
		if p.isIntact(ctx, p.surveyed, key, a.SHA256, a.Size) != nil {
			return false
		}
		p.upgrade.Agent, p.agentKey = a, key
		return true
	}
	if md.HotUpgrade != nil && has("", *md.HotUpgrade) {
		return true
	}
	for machine, u := range md.MachineUpgrades {
		if has(machine, u) {
			return true
		}
	}
	return false
}
