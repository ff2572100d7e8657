package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// releaseCommandWithin bounds a release command; its temporary machine lives longer.
const releaseCommandWithin = 15 * time.Minute

// runsReleaseCommand reports whether there is a release_command, and it is to be run.
func (j *job) runsReleaseCommand() bool {
	return j.settings.RunReleaseCommand && j.settings.ReleaseCommand != ""
}

// runReleaseCommand runs fly.toml's release_command in a temporary machine with the new image. What it prints goes into the log. An
// error ends the deploy: nothing is suspended yet.
func (st *staged) runReleaseCommand(ctx context.Context) error {
	command := st.settings.ReleaseCommand
	st.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: "running the release_command: " + command})
	err := st.releaseCommand(ctx, command)
	if err != nil {
		st.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: failedBy(err), Problem: engine.AsProblem(err)})
	}
	return err
}

func (st *staged) releaseCommand(ctx context.Context, command string) error {
	if err := st.held.Confirm(ctx); err != nil {
		return err
	}
	until := time.Now().Add(temporaryLivesFor)
	m, err := st.ports.Fleet.CreateTemporary(ctx, engine.TemporaryMachine{
		UpgradeID: st.upgrade.ID, Image: st.upgrade.SourceImage, LiveFor: temporaryLivesFor, UnderLock: true, Temporary: st.settings.Temporary.For(st.surveyed.in),
	})
	if err != nil {
		st.withSettleTimeout(ctx, func(ctx context.Context) { st.destroyStarted(ctx, st.upgrade.ID, until) })
		return fmt.Errorf("start a temporary machine for the release_command: %w", err)
	}
	defer st.withSettleTimeout(ctx, func(ctx context.Context) { st.destroy(ctx, m.ID, until) })
	st.rec.Log(engine.PhaseCommit, "it runs in the temporary machine "+m.ID+" in "+m.Region)
	c := agent.NewCommand(target.ExecOn(st.ports.Fleet, m.ID), st.upgrade.ID, st.surveyed.target.VM.Root, command)
	var code int
	err = run.Within(ctx, releaseCommandWithin, lookAtTemporary, func(ctx context.Context) (err error) {
		code, err = run.RetryUnknown(ctx, st.lostAnswer(engine.PhaseCommit, ""), func() (int, error) {
			return c.Run(ctx, func(line string) { st.rec.Log(engine.PhaseCommit, line) })
		})
		return err
	})
	if err == nil && code != 0 {
		return engine.NewProblem("release_command_failed", fmt.Sprintf("the release_command ended with exit code %d: %s", code, command), nil,
			engine.Remedies["release_command_failed"])
	}
	if err != nil {
		return fmt.Errorf("the release_command: %w", err)
	}
	st.rec.Log(engine.PhaseCommit, "the release_command has succeeded")
	st.commandRan = true
	return nil
}

// withCommand adds to a deploy's problem that the release_command has succeeded, where machines do not run the upgrade. p may be nil.
func (st *staged) withCommand(p *engine.Problem) *engine.Problem {
	if st == nil || p == nil || !st.commandRan || everyOf(st.machines, (*rollout).isUpgraded) {
		return p
	}
	told := *p
	told.Remedy = strings.TrimSpace(p.Remedy + " The release_command has succeeded before: what it has done stays, beside the earlier code.")
	return &told
}
