package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/text"
)

// hookWithin bounds how long the VMs are asked for their startup hook.
const hookWithin = 30 * time.Second

// setup tells what an app needs before its first hot upgrade, and whether it is there: all steps again whenever more is known of one. c is
// nil where there is no token.
func setup(ctx context.Context, app string, c *connection, tell func([]engine.SetupStep)) {
	later := "Checked once there is a token."
	steps := []engine.SetupStep{tokenStep(app), {
		Title: "A bucket for the code that machines load", Status: engine.StatusUnknown, Text: later,
		Commands: []string{fmt.Sprintf("fly storage create -a %s -n %s-releases", app, app)},
	}, {
		Title: "The startup hook, which loads the upgrade again after a restart", Status: engine.StatusUnknown, Text: later,
		Commands: []string{`{:fly_deploy, path: "../flydeploy/elixir"}   # in deps of mix.exs`, "FlyDeploy.startup_reapply_current(:my_app)   # first in Application.start/2", "fly deploy"},
	}}
	token, bucket, hook := &steps[0], &steps[1], &steps[2]
	if c == nil || token.Status != engine.StatusDone {
		tell(steps)
		return
	}
	bucket.Status, bucket.Text = engine.StatusRunning, "Asking a machine which bucket it has."
	hook.Status, hook.Text = engine.StatusRunning, "Asking the VMs whether they called it."
	tell(steps)
	found, err := c.storage(ctx)
	if bucket.Status, bucket.Text = engine.StatusDone, "The machines have one."; err != nil {
		p := engine.AsProblem(err)
		bucket.Status, bucket.Text = engine.StatusFailed, strings.TrimSpace(p.What+"\n"+p.Remedy)
	}
	if found != nil && found.OTPApp != "" {
		hook.Commands[1] = strings.Replace(hook.Commands[1], ":my_app", ":"+text.Line(found.OTPApp), 1)
	}
	tell(steps)
	hook.Status = engine.StatusUnknown
	*hook = hookStep(ctx, c, *hook)
	tell(steps)
}

func tokenStep(app string) engine.SetupStep {
	s := engine.SetupStep{
		Title: "A token for Fly", Commands: []string{"fly auth login", "export FLY_API_TOKEN=$(fly tokens create deploy -a " + app + ")   # or this, in the shell of flydeploy"},
	}
	_, from, err := fly.Token()
	if s.Status, s.Text = engine.StatusDone, "It comes from "+from+"."; err != nil {
		p := engine.AsProblem(err)
		s.Status, s.Text = engine.StatusFailed, strings.TrimSpace(p.What+"\n"+p.Remedy)
	}
	return s
}

// hookStep asks the VMs.
func hookStep(ctx context.Context, c *connection, s engine.SetupStep) engine.SetupStep {
	ctx, stop := context.WithTimeout(ctx, hookWithin)
	defer stop()
	o, err := c.inspected(ctx)
	if err != nil {
		s.Text = engine.AsProblem(err).What
		return s
	}
	works, without := 0, []string{}
	var silent error
	for id, code := range o.Code {
		switch {
		case code.Problem != nil:
			silent = errors.New(code.Problem.What)
		case code.Hook.Works():
			works++
		default:
			without = append(without, id)
		}
	}
	switch {
	case len(without) > 0:
		s.Status, s.Text = engine.StatusFailed, text.Counted(len(without), "VM")+" of "+text.Count(works+len(without))+" did not call it: they lose an upgrade when they restart."
	case works > 0:
		s.Status, s.Text = engine.StatusDone, text.Counted(works, "VM")+" called it at the start."
	case silent != nil:
		s.Text = silent.Error()
	default:
		s.Text = "No running machine could be asked."
	}
	return s
}
