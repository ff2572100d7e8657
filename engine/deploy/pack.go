package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/release"
	"flydeploy/engine/run"
	"flydeploy/engine/sign"
	"flydeploy/engine/target"
)

const (
	presignedFor      = 30 * time.Minute // longer than what is staged lives
	temporaryLivesFor = 20 * time.Minute
	packWithin        = 8 * time.Minute // for each of packing and uploading; both must fit into temporaryLivesFor
	lookAtTemporary   = "Look at the temporary machine with `fly logs`, and deploy again."
)

// packed is what lies in the bucket for machines: the tarball of the new release, and the compiled agent.
type packed struct {
	upgrade       engine.Upgrade // complete; after an error, as far as it is known
	key, agentKey string
	agentFile     []byte   // where this computer has kept it
	sent          []string // keys whose upload has begun
	source        string   // key of the agent's source, which only a temporary machine downloads
}

// pack builds the new image, has a temporary machine pack and upload its release and compile the agent, and completes the upgrade.
// With an earlier deploy's tarball and agent none of that is needed.
func (j *job) pack(ctx context.Context, s *surveyed, u engine.Upgrade) (packed, error) {
	p := packed{upgrade: u}
	if s.reusesTarball() {
		err := j.reuse(ctx, s, &p)
		return p, err
	}
	if err := j.build(ctx, &p.upgrade, s.image); err != nil {
		return p, err
	}
	err := j.onTemporary(ctx, s, &p, func(work *packing) error {
		if err := work.makeTarball(ctx); err != nil {
			return err
		}
		files := work.missing(work.tarball())
		err := work.upload(ctx, files...)
		if len(files) > 1 {
			work.keepAgent(ctx, err)
		}
		return err
	}, (*packing).packHere)
	return p, err
}

// onTemporary does work in a temporary machine with the new image, or without one what this computer can do instead.
func (j *job) onTemporary(ctx context.Context, s *surveyed, p *packed, work func(*packing) error, here func(*packing, context.Context) error) error {
	if j.settings.Source == engine.SourceRegistry {
		j.rec.Emit(engine.Event{Phase: engine.PhaseOrchestrator, Status: engine.StatusSkipped, Text: fromLayers, Upgrade: copyOf(&p.upgrade)})
		j.removeLeftovers(ctx, s)
	} else if err := j.inTemporaryMachine(ctx, s, p, work); !errors.As(err, new(*noTemporary)) {
		return err
	}
	return here(&packing{job: j, surveyed: s, target: s.target, packed: p}, ctx)
}

func (j *job) inTemporaryMachine(ctx context.Context, s *surveyed, p *packed, work func(*packing) error) error {
	until := time.Now().Add(temporaryLivesFor)
	m, err := j.startTemporary(ctx, &p.upgrade, s)
	if err != nil {
		j.withSettleTimeout(ctx, func(ctx context.Context) { j.destroyStarted(ctx, p.upgrade.ID, until) })
		return err
	}
	defer j.withSettleTimeout(ctx, func(ctx context.Context) {
		var deleting sync.WaitGroup
		if p.source != "" {
			deleting.Go(func() { j.deleteUpload(ctx, s.target.Storage, p.source) })
		}
		j.destroy(ctx, m.ID, until)
		deleting.Wait()
	})
	return work(&packing{job: j, surveyed: s, target: s.target, packed: p, exec: target.ExecOn(j.ports.Fleet, m.ID)})
}

// build makes the new image, unless one was given.
func (j *job) build(ctx context.Context, u *engine.Upgrade, image string) error {
	if image != "" {
		u.SourceImage = image
		j.rec.Emit(engine.Event{Phase: engine.PhaseBuild, Status: engine.StatusSkipped, Text: "using " + image, Upgrade: copyOf(u)})
		return nil
	}
	return j.phase(engine.PhaseBuild, "building the new image", u, func() (string, error) {
		if err := j.hook(ctx, engine.PhaseBuild, engine.MomentEvent{Hook: engine.MomentBeforeBuild, Upgrade: *u}); err != nil {
			return "", err
		}
		ref, err := j.ports.Build(ctx, func(line string) { j.rec.Log(engine.PhaseBuild, line) })
		if err != nil {
			return "", fmt.Errorf("build the new image: %w", err)
		}
		u.SourceImage = ref
		return ref, nil
	})
}

func (j *job) startTemporary(ctx context.Context, u *engine.Upgrade, s *surveyed) (m engine.Machine, err error) {
	phase := j.phase(engine.PhaseOrchestrator, "starting a temporary machine with the new image", u, func() (string, error) {
		j.removeLeftovers(ctx, s)
		m, err = j.ports.Fleet.CreateTemporary(ctx, engine.TemporaryMachine{
			UpgradeID: u.ID, Image: u.SourceImage, LiveFor: temporaryLivesFor, UnderLock: !j.settings.DryRun, Temporary: j.settings.Temporary.For(s.in),
		})
		if err != nil {
			return "", j.orWithout(err, u)
		}
		return fmt.Sprintf("machine %s in %s", m.ID, m.Region), nil
	})
	return m, phase
}

// removeLeftovers destroys the temporary machines of deploys that are over: of those that held the lock, which is ours now. A colleague's
// plan under way holds none; its machine is left alone until it should have destroyed itself.
func (j *job) removeLeftovers(ctx context.Context, s *surveyed) {
	if j.settings.DryRun {
		return
	}
	for _, m := range s.target.Machines {
		if m.Temporary == "" || !isOver(m, s.target.Storage.Clock()) {
			continue
		}
		text := fmt.Sprintf("removing temporary machine %s, left by deploy %s", m.ID, m.Temporary)
		if err := j.ports.Fleet.Destroy(ctx, m.ID); err != nil {
			j.leaveTemporary(m.ID, time.Now().Add(temporaryLivesFor))
			text = fmt.Sprintf("temporary machine %s of deploy %s could not be removed: %v", m.ID, m.Temporary, err)
		}
		j.rec.Log(engine.PhaseOrchestrator, text)
	}
}

// isOver: whoever made the temporary machine does not need it any more, as its deploy's ID and the bucket's time tell.
func isOver(m engine.Machine, now time.Time) bool {
	made, err := ulid.ParseStrict(m.Temporary)
	return m.UnderLock || err == nil && now.Sub(ulid.Time(made.Time())) > temporaryLivesFor
}

// destroyStarted removes a temporary machine whose start was not answered.
func (j *job) destroyStarted(ctx context.Context, upgrade string, until time.Time) {
	now, _ := j.ports.Fleet.Machines(ctx) // nil: nothing is known of one
	for _, m := range now {
		if m.Temporary != "" && m.Temporary == upgrade {
			j.destroy(ctx, m.ID, until)
		}
	}
}

// destroy removes the temporary machine. If this fails, it destroys itself later, or the next deploy does.
func (j *job) destroy(ctx context.Context, id string, until time.Time) {
	if err := j.ports.Fleet.Destroy(ctx, id); err != nil {
		j.leaveTemporary(id, until)
		j.rec.Log(engine.PhaseOrchestrator, fmt.Sprintf("temporary machine %s could not be destroyed (%v); it destroys itself within %s", id, err, temporaryLivesFor))
		return
	}
	j.rec.Log(engine.PhaseOrchestrator, fmt.Sprintf("temporary machine %s destroyed", id))
}

// reuse takes the earlier deploy's tarball, if it is still in the bucket, and its agent, unless that is of another flydeploy: then a
// temporary machine compiles ours.
func (j *job) reuse(ctx context.Context, s *surveyed, p *packed) error {
	u, e := &p.upgrade, s.earlier.Upgrade
	u.Version, u.SourceImage, u.SHA256, u.Size, u.TarballURL = e.Version, e.SourceImage, e.SHA256, e.Size, e.TarballURL
	if err := j.checkHasConfig(e); err != nil {
		return err
	}
	u.ApplyConfig = u.ApplyConfig || e.ApplyConfig
	u.ApplyChildren = cmp.Or(u.ApplyChildren, e.ApplyChildren)
	u.GitRevision = e.GitRevision // of that code, not of what is checked out now
	j.rec.Emit(engine.Event{Phase: engine.PhaseBuild, Status: engine.StatusSkipped, Text: "deploying " + s.earlier.ID + " again", Upgrade: copyOf(u)})
	p.key = keyOf(u.TarballURL)
	if err := j.isIntact(ctx, s, p.key, u.SHA256, u.Size); err != nil {
		problem := engine.NewProblem("no_tarball", fmt.Sprintf("the tarball %s of deploy %s", p.key, s.earlier.ID), err,
			"Deploy its image instead: `flydeploy hot --skip-build --image "+u.SourceImage+"`.")
		j.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusFailed, Problem: problem})
		return problem
	}
	if !s.reusesAgent() || j.isIntact(ctx, s, keyOf(e.Agent.URL), e.Agent.SHA256, e.Agent.Size) != nil {
		return j.onTemporary(ctx, s, p, func(work *packing) error { return work.makeAgent(ctx) }, (*packing).findAgent)
	}
	u.Agent, p.agentKey = e.Agent, keyOf(e.Agent.URL)
	for _, ph := range []engine.Phase{engine.PhaseOrchestrator, engine.PhaseTarball} {
		j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusSkipped, Text: "deploy " + s.earlier.ID + " has made the tarball"})
	}
	j.removeLeftovers(ctx, s)
	j.sign(p, s)
	j.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: p.key + " is in the bucket already", Upgrade: copyOf(u)})
	return nil
}

// sign signs what was packed, and for which machines, for the deploy's record: from there it can be deployed again, or resumed.
func (j *job) sign(p *packed, s *surveyed) {
	p.upgrade = j.ports.Keys.Deploy(p.upgrade, sign.Ordered{Select: s.selected, Strategy: s.strategy, Resumes: s.chain}, s.target.Storage.Clock())
}

// keyOf gives the key of what a record names by its URL.
func keyOf(url string) string { return "releases/" + path.Base(url) }

// isIntact looks whether the bucket still has what a deploy has recorded.
func (j *job) isIntact(ctx context.Context, s *surveyed, key, sha256 string, size int64) error {
	object, err := s.target.Storage.Tarballs.Stat(ctx, key)
	if err == nil && (object.SHA256 != sha256 || object.Size != size) {
		err = fmt.Errorf("it has %d bytes with sha256 %.12s…, not the recorded %d with %.12s…", object.Size, object.SHA256, size, sha256)
	}
	return err
}

// packing is the work in one temporary machine.
type packing struct {
	*job
	*packed
	surveyed *surveyed
	target   *target.Target   // the surveyed one
	exec     agent.Exec       // in the temporary machine; nil without one
	made     *release.Tarball // without a temporary machine
}

// makeTarball packs the release. It compiles the agent as well, unless that is known.
func (p *packing) makeTarball(ctx context.Context) error {
	return p.phase(engine.PhaseTarball, "packing the new release", &p.upgrade, func() (string, error) {
		made, err := inTemporary(ctx, p, engine.PhaseTarball, func(ctx context.Context) (agent.Tarball, error) {
			return agent.MakeTarball(ctx, p.exec, p.upgrade.ID, p.target.VM.Root, p.target.OTPApp, p.upgrade.ApplyConfig, p.count(engine.PhaseTarball, "files"))
		})
		if err != nil {
			return "", fmt.Errorf("pack the release of %s: %w", p.upgrade.SourceImage, err)
		}
		p.upgrade.Version, p.upgrade.SHA256, p.upgrade.Size = made.AppVersion, made.SHA256, made.Size
		if !p.knowsAgent(made.OTP, made.Elixir) && !p.vouchedAgent(ctx, made.OTP, made.Elixir) {
			if err := p.compileAgent(ctx); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%s %s, %d files, %.1f MB", p.target.OTPApp, made.AppVersion, made.Entries, float64(made.Size)/1e6), nil
	})
}

// knowsAgent looks for an agent that an earlier deploy from this computer, of any app, has compiled for the same OTP and Elixir. The
// bucket may lack it.
func (p *packing) knowsAgent(otp, elixir string) bool {
	source, err := agent.SourceHash()
	if err != nil || p.ports.Agents == nil {
		return false
	}
	known, file, ok := p.ports.Agents.Known(source, otp, elixir)
	if ok {
		p.upgrade.Agent, p.agentFile = known, file
	}
	return ok
}

// vouchedAgent takes the agent of the upgrade that runs, where a key vouches for the record: nobody who can only write to the bucket has
// put another one there. It is the app's own, and not kept for others.
func (p *packing) vouchedAgent(ctx context.Context, otp, elixir string) bool {
	return p.ports.Keys.Demands() && p.recordHasAgent(ctx, otp, elixir)
}

func (p *packing) compileAgent(ctx context.Context) error {
	p.rec.Log(engine.PhaseTarball, "compiling the agent")
	source, url, err := p.sendSource(ctx)
	if err != nil {
		return err
	}
	made, err := inTemporary(ctx, p, engine.PhaseTarball, func(ctx context.Context) (engine.CompiledAgent, error) {
		return agent.CompileAgent(ctx, p.exec, p.upgrade.ID, p.target.VM.Root, source, url, "")
	})
	if err != nil {
		return fmt.Errorf("compile the agent with %s: %w", p.upgrade.SourceImage, err)
	}
	p.upgrade.Agent = made
	return nil
}

// makeAgent makes what an earlier deploy's tarball lacks.
func (p *packing) makeAgent(ctx context.Context) error {
	err := p.phase(engine.PhaseTarball, "compiling the agent", &p.upgrade, func() (string, error) {
		return "the tarball is an earlier deploy's, the agent is compiled", p.compileAgent(ctx)
	})
	if err != nil {
		return err
	}
	err = p.upload(ctx, p.agent())
	p.keepAgent(ctx, err)
	return err
}

// keepAgent keeps the agent on this computer, from the bucket, which has got it from the temporary machine unless the upload failed.
func (p *packing) keepAgent(ctx context.Context, upload error) {
	if upload != nil || p.ports.Agents == nil || p.agentFile != nil {
		return
	}
	file, err := p.target.Storage.Tarballs.Get(ctx, p.agentKey, p.upgrade.Agent.Size)
	if err == nil {
		err = p.ports.Agents.Keep(p.upgrade.Agent, file)
	}
	if err != nil {
		p.rec.Log(engine.PhaseUpload, fmt.Sprintf("the next deploy compiles the agent again: %v", err))
	}
}

// inTemporary bounds one piece of work in the temporary machine, and repeats what got no answer.
func inTemporary[T any](ctx context.Context, p *packing, ph engine.Phase, work func(context.Context) (T, error)) (done T, err error) {
	err = run.Within(ctx, packWithin, lookAtTemporary, func(ctx context.Context) (err error) {
		done, err = run.RetryUnknown(ctx, p.lostAnswer(ph, ""), func() (T, error) { return work(ctx) })
		return err
	})
	return done, err
}

// countEvery is how often progress is told at most, but for its end.
const countEvery = 200 * time.Millisecond

// count gives a function that emits the progress of a phase.
func (p *packing) count(ph engine.Phase, unit string) func(done, total int64) {
	var told atomic.Int64 // the body of an upload that broke off may still be read when the next one begins
	return func(done, total int64) {
		now := time.Now().UnixNano()
		if done < total && now-told.Load() < int64(countEvery) {
			return
		}
		told.Store(now)
		p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Done: done, Total: total, Unit: unit})
	}
}
