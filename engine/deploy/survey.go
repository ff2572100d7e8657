package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
)

// surveyed is what a deploy works on: everything that is read from the fleet and the bucket while the lock is held.
type surveyed struct {
	target   *target.Target
	in, out  []engine.Machine // the machines that take part, and those left out with their reasons
	recorded engine.Metadata  // current.json as the deploy found it
	earlier  *record.Record   // the deploy that is resumed or deployed again, nil for none
	resumes  bool             // it is resumed
	chain    []string         // IDs of the deploys with which it goes on, the first one first
	first    *engine.Metadata // current.json as the first of these found it, else as the deploy found it; nil if that is not known
	image    string           // the image to pack; if "", one is built
	selected engine.Selection // of the machines; a resumed deploy's own unless another one is given
	strategy engine.Strategy  // a resumed deploy's own, apart from what is given
	tried    string           // the ID of the deploy whose trial ends, "" for a deploy of something else
	over     []string         // the IDs of machines that are not on that trial any more
}

// lookAgain gives the fleet as it is behind the lock; if time has passed, the release and its storage as well.
func (j *job) lookAgain(ctx context.Context, found *target.Target, waited bool) (*target.Target, error) {
	if waited {
		return target.Connect(ctx, engine.App{OTPApp: found.OTPApp, Release: j.settings.Release}, j.ports.Fleet, j.ports.Storage)
	}
	machines, err := j.ports.Fleet.Machines(ctx)
	if err != nil {
		return nil, err
	}
	now := *found
	now.Machines = machines
	return &now, nil
}

// survey reads what the deploy works on, while the lock is held, so that no other deploy changes it. waited says that somebody
// else held the lock since found was read, so it is read again.
func (j *job) survey(ctx context.Context, found *target.Target, waited bool) (*surveyed, error) {
	s, err := j.look(ctx, found, waited)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: failedBy(err), Problem: engine.AsProblem(err)})
	}
	return s, err
}

func (j *job) look(ctx context.Context, found *target.Target, waited bool) (*surveyed, error) {
	found, err := j.lookAgain(ctx, found, waited)
	if err != nil {
		return nil, err
	}
	s := &surveyed{target: found, image: j.settings.Image, selected: j.settings.Select, strategy: j.settings.Strategy}
	if s.earlier, err = j.findEarlier(ctx, found.OTPApp, found.Storage.Records); err != nil {
		return nil, err
	}
	s.resumes = s.earlier != nil && j.settings.Resume
	if s.resumes {
		if s.selected.Empty() {
			s.selected = s.earlier.Select
		}
		if e := s.earlier.Strategy; e != nil && isPossible(*e) {
			s.strategy = s.strategy.Resuming(*e, j.settings.StrategyGiven)
		}
		if err := j.checkPause(s.strategy); err != nil {
			return nil, err
		}
		if s.image == "" {
			s.image = s.earlier.Upgrade.SourceImage // in case it has no tarball
		}
	}
	parts, err := target.ScopeOf(found.Machines, s.selected)
	if err != nil {
		return nil, err
	}
	s.in, s.out = parts.In, parts.Out
	if s.earlier != nil && !(s.reusesTarball() && s.reusesAgent()) {
		if err := j.checkToken(ctx); err != nil {
			return nil, err
		}
	}
	s.recorded, err = readMetadata(ctx, found.Storage.Records, engine.BaseImage(s.in))
	if s.first = &s.recorded; s.resumes && err == nil {
		s.chain = lastOf(append(slices.Clone(s.earlier.Resumes), s.earlier.ID), chainKept)
		s.first, err = record.ReadBefore(ctx, found.Storage.Records, s.earlier.ID)
	}
	if err != nil {
		return s, err
	}
	s.stopsTrying(j)
	return s, s.checkNotTried(j)
}

// chainKept is how many deploys in a row that resume each other are known to the next: the agents of older ones have ended.
const chainKept = 20

func lastOf(ids []string, n int) []string { return ids[max(len(ids)-n, 0):] }

// isPossible reports whether a deploy may have a strategy that was read from the bucket.
func isPossible(s engine.Strategy) bool {
	return s.Kind.Valid() && s.WaveSize >= 0 && s.Bake >= 0 && s.Bake <= MaxBake && s.By.Valid() && ValidPause(s.Pause) && s.Trial >= 0 && s.Trial <= MaxTrial
}

// reusesTarball reports whether an earlier deploy's tarball is used, without a build. It takes a temporary machine only to compile
// the agent.
func (s *surveyed) reusesTarball() bool {
	return s.earlier != nil && s.earlier.Upgrade.TarballURL != ""
}

// reusesAgent reports whether that deploy has compiled the agent that we would.
func (s *surveyed) reusesAgent() bool {
	own, err := agent.SourceHash()
	return err == nil && s.earlier.Upgrade.Agent.Source == own
}

// readMetadata reads current.json before anything is built: a deploy that could not change it afterwards must fail before it
// suspends anything.
func readMetadata(ctx context.Context, records engine.Current, baseImage string) (engine.Metadata, error) {
	md, _, err := records.Metadata(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return engine.Metadata{}, nil
	}
	if err == nil {
		err = checkOwner(md, baseImage)
	}
	if err != nil {
		return md, fmt.Errorf("read current.json: %w", err)
	}
	return md, nil
}

// checkOwner fails if the metadata belongs to another Fly app.
func checkOwner(md engine.Metadata, baseImage string) error {
	if md.ImageRef == "" || engine.Repository(md.ImageRef) == engine.Repository(baseImage) {
		return nil
	}
	return engine.NewProblem("foreign_metadata", fmt.Sprintf("current.json belongs to %s, not to %s", engine.Repository(md.ImageRef), engine.Repository(baseImage)), nil,
		"Two Fly apps share a bucket and the name of an OTP application. Give each its own bucket: --bucket, or AWS_BUCKET.")
}
