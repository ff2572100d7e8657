package plain

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

// history tells the past deploys, then one of them in plain lines, or deploys its code again.
func (a *accessible) history(ctx context.Context, f *view.Fleet) bool {
	past, err := a.o.Backend.History(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return true
	}
	for i, p := range past {
		a.print("deploy %d: %s, %s, version %s, %d of %d machines, by %s, id %s\n", i+1, p.At.Local().Format(time.DateTime),
			strings.TrimSpace(view.PastWord(p)), p.Version, p.Upgraded, p.Machines, p.Owner, p.ID)
	}
	question := "Number of a deploy to read; Enter alone goes back:"
	if !a.o.ReadOnly {
		question = "Number of a deploy to read, again and a number to deploy its code again; Enter alone goes back:"
	}
	typed, ok := a.ask(ctx, question)
	number, again := strings.CutPrefix(strings.ToLower(typed), "again ")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	switch {
	case !ok || typed == "":
		return ok
	case err != nil || n < 1 || n > len(past):
		a.print("There is no deploy number %s.\n", number)
		return true
	case !again || a.o.ReadOnly:
		return a.read(ctx, past[n-1])
	case !view.Again(past[n-1]):
		a.print("Deploy %d has no code that could be deployed again.\n", n)
		return true
	}
	p := past[n-1]
	return a.askDeploy(ctx, f, engine.Request{To: p.ID}, "the code of deploy "+p.ID+", "+p.Version)
}

// read tells a recorded deploy.
func (a *accessible) read(ctx context.Context, p engine.Past) bool {
	events, _, err := a.o.Backend.Events(ctx, p.ID)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return true
	}
	o := &printer{out: a.out, p: engine.NewProgress()}
	for _, e := range events {
		o.batch([]engine.Event{e})
	}
	return a.out.err == nil
}

// lockChoices tell of the lock that somebody holds, and follow the deploy that holds it.
func (a *accessible) lockChoices(f *view.Fleet) []choice {
	held := f.Overview.Lock
	if held == nil || held.Frozen() || held.DeploymentID == "" || a.o.Watch == nil {
		return nil
	}
	return []choice{{"Watch the deploy of " + held.LockedBy, func(ctx context.Context) bool { return a.watch(ctx, *held) }}}
}

// watch tells a deploy that somebody else runs, until it ends or a line is typed.
func (a *accessible) watch(ctx context.Context, held engine.LockInfo) bool {
	a.print("Deploy %s. Its owner: %s.\nIt is told until it ends; Enter stops telling it, and leaves it as it is.\n", held.DeploymentID, view.LifeSign(held, time.Now()).Text)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan error, 1)
	go func() { told <- a.tellEvents(ctx, a.o.Watch(held.DeploymentID)) }()
	select {
	case err := <-told:
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		default:
			a.print("That deploy has ended.\n")
		}
		return a.out.err == nil && ctx.Err() == nil
	case _, more := <-a.answers:
		stop()
		<-told
		return more
	}
}

// tellEvents tells events as lines until the last.
func (a *accessible) tellEvents(ctx context.Context, events engine.Source) error {
	o := &printer{out: a.out, p: engine.NewProgress()}
	for {
		batch, err := events.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		o.batch(batch)
		if a.out.err != nil {
			return nil
		}
	}
}
