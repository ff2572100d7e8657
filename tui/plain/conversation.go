package plain

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

const (
	askLockEvery    = 5 * time.Second // while we wait for somebody else's lock
	accessibleWidth = 100             // cells of a line of the plan, or of a problem
)

// conversation is a deploy in plain lines with somebody who answers its questions.
type conversation struct {
	*accessible
	d       Deployment
	p       *engine.Progress
	lines   *printer
	asked   engine.Question      // the last that was put to the reader
	pausing bool                 // and a wave waits there until somebody goes on
	accepts []string             // blockers, accepted so far
	cold    bool                 // what is typed now confirms a cold deploy
	typing  string               // what must be typed now: a blocker's name, or the app's; "" for a number
	ended   bool                 // the input has ended: whatever is asked is declined
	retry   time.Time            // when somebody else's lock is tried again, zero for never
	told    map[string]time.Time // when each machine has told how it does
	logs    deployLogs
}

// deploy starts a deploy and follows it to its end.
func (a *accessible) deploy(ctx context.Context, asked engine.Request) {
	d, err := a.o.Backend.Deploy(asked)
	if err != nil {
		a.print("The deploy did not start.\n")
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
		return
	}
	batches := make(chan []engine.Event)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(batches)
		for {
			batch, err := d.Next(context.WithoutCancel(ctx)) // it always ends, since a stopped deploy cleans up
			if err != nil {
				if !errors.Is(err, io.EOF) {
					d.Stop()
				}
				return
			}
			batches <- batch
		}
	})
	p := engine.NewProgress()
	c := &conversation{accessible: a, d: d, p: p, lines: &printer{out: a.out, p: p, asks: true}, told: map[string]time.Time{}}
	if a.o.Logs != nil {
		a.print(howToHear)
	}
	c.follow(ctx, batches)
	reading.Wait()
	c.learn()
	r := d.Result()
	a.result = &r
	a.out.write(spokenGlyphs.Replace("\n" + Summary(r) + a.o.recall(r)))
}

func (c *conversation) follow(ctx context.Context, batches <-chan []engine.Event) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer c.logs.stop()
	done, answers := ctx.Done(), c.answers
	unread := false // nobody reads what is written any more
	for {
		if !unread && c.out.err != nil {
			unread = true
			c.d.Stop()
		}
		select {
		case batch, more := <-batches:
			if !more {
				return
			}
			for _, e := range batch {
				if e.Vitals != nil {
					c.told[e.Machine] = e.At
				}
			}
			c.lines.batch(batch)
			c.question()
		case typed, more := <-answers:
			asked := c.out.answered()
			if !more {
				answers, c.ended = nil, true
			}
			if !c.logCommand(ctx, typed, asked) {
				c.answer(typed)
			}
		case got := <-c.logs.answers:
			c.hears(got)
		case now := <-tick.C:
			if !c.retry.IsZero() && now.After(c.retry) {
				c.retry = now.Add(askLockEvery)
				c.d.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true})
			}
		case <-done:
			done = nil
			c.print("Stopping: nothing new starts, machines finish what they are doing.\n")
			c.d.Stop()
		}
	}
}

// question tells what the deploy asks, once.
func (c *conversation) question() {
	asks := c.p.Asks()
	pausing := asks == engine.QuestionWatch && len(c.p.Ways) > 0
	if asks == c.asked && pausing == c.pausing {
		c.out.again()
		return
	}
	if c.out.cut = ""; c.out.answered() != "" { // a question that nobody needs to answer any more
		c.out.write("\n")
	}
	c.asked, c.pausing, c.retry, c.typing = asks, pausing, time.Time{}, ""
	switch asks {
	case engine.QuestionLock:
		held := c.p.Held
		if held.Frozen() {
			c.print("\nDeploys are frozen by %s until %s: %s.\n", held.LockedBy, view.Until(held.ExpiresAt, time.Now()), strings.TrimSuffix(held.Freeze, "."))
		} else {
			c.print("\nThe deploy lock is held by %s, until %s, for deploy %s.\nIts owner: %s.\n", held.LockedBy, view.When(held.ExpiresAt, time.Now()), held.DeploymentID, view.LifeSign(held.LockInfo, time.Now()).Text)
		}
		c.print("1. Wait until it is free\n2. Leave\n3. Override it\nChoice (1 to 3): ")
	case engine.QuestionPlan:
		c.lines.planned = true
		c.tellPlan()
	case engine.QuestionWatch:
		c.askWatch()
	case engine.QuestionSick, engine.QuestionFailed, engine.QuestionBack:
		c.offerWays()
	}
	if c.ended {
		c.answer("")
	}
}

// askWatch tells that a wave is watched, or that the next one waits for somebody.
func (c *conversation) askWatch() {
	if c.pausing {
		c.print("\nThis wave is well so far, and is watched on. The next wave waits until you go on: after at most 55 minutes the deploy ends here.\n1. Go on with the next wave\nChoice (1): ")
		return
	}
	c.print("\nWatching whether it is well.\n")
	if c.p.Plan != nil && c.p.Plan.Waits {
		c.print("After that, the next wave waits until you go on.\n")
	}
	c.print("1. Go on now\n2. Hold the watch\nChoice (1 or 2), or wait: ")
}

// answerWatch ends the watch, or holds it.
func (c *conversation) answerWatch(typed string) {
	switch typed = strings.TrimSpace(typed); {
	case typed == "1":
		c.d.Answer(engine.Answer{To: c.asked, Way: engine.WayPromote})
		c.print("Going on as soon as every machine has answered once more.\n")
	case typed == "2" && !c.pausing:
		c.d.Answer(engine.Answer{To: c.asked, Way: engine.WayHold})
		c.print("Held: it is watched until you go on. 1 goes on: ")
	case c.pausing:
		c.print("Please type 1 to go on: ")
	default:
		c.print("Please type 1 or 2: ")
	}
}

// offerWays tells what is wrong, and the ways on.
func (c *conversation) offerWays() {
	c.print("\n%s.\n", view.WaysTitle(c.p))
	if p := c.p.Fleet[engine.PhaseCommit].Problem; p != nil {
		c.print("%s.\n", p.What)
	}
	c.print("%s\n", view.AboutWays(c.p))
	for i, w := range c.p.Ways {
		c.print("%d. %s\n", i+1, view.Way(w).Long)
	}
	c.print("Choice (1 to %d): ", len(c.p.Ways))
}

// tellPlan tells the plan, with what was accepted so far, and asks about it.
func (c *conversation) tellPlan() {
	accepted := map[string]bool{}
	for _, name := range slices.Concat(c.o.Accept, c.accepts) {
		accepted[name] = true
	}
	c.print("\nThe plan. Nothing has been suspended yet.\n")
	c.printLines(view.Plan(c.p.Plan, accepted, accessibleWidth))
	c.planChoices()
}

func (c *conversation) planChoices() {
	c.print("\nSuspend %s on %s?\n", text.Counted(c.p.Plan.Processes(), "process"), text.Counted(len(c.p.Plan.Machines), "machine"))
	c.cold = false
	c.print("1. Do not deploy\n2. Deploy as planned\n3. List the functions that change\n4. Tell the plan again\n")
	if c.p.Plan.MayGoCold {
		c.print("5. Deploy cold: all machines restart with the new image\nChoice (1 to 5): ")
		return
	}
	c.print("Choice (1 to 4): ")
}

// answer handles a typed line. One that was typed before anything was asked is dropped. The end of the input declines
// whatever is asked.
func (c *conversation) answer(typed string) {
	switch {
	case c.asked == engine.QuestionNone:
	case c.ended:
		c.d.Answer(engine.Answer{To: c.asked})
	case c.typing != "":
		c.answerTyped(typed)
	case c.asked == engine.QuestionPlan:
		c.answerPlan(typed)
	case c.asked == engine.QuestionWatch:
		c.answerWatch(typed)
	case c.asked == engine.QuestionSick, c.asked == engine.QuestionFailed, c.asked == engine.QuestionBack:
		c.answerWay(typed, c.p.Ways...)
	default:
		c.answerLock(typed)
	}
}

// answerWay takes the number of one of the ways on.
func (c *conversation) answerWay(typed string, ways ...engine.Way) {
	n, err := strconv.Atoi(strings.TrimSpace(typed))
	if err != nil || n < 1 || n > len(ways) {
		c.print("Please type a number from 1 to %d: ", len(ways))
		return
	}
	c.d.Answer(engine.Answer{To: c.asked, Way: ways[n-1]})
}

func (c *conversation) answerPlan(typed string) {
	switch cold := c.p.Plan.MayGoCold; {
	case typed == "1":
		c.d.Answer(engine.Answer{To: engine.QuestionPlan})
	case typed == "2":
		c.confirm()
	case typed == "3":
		c.print("\n")
		c.printLines(view.Functions(c.p.Plan, accessibleWidth))
		c.planChoices()
	case typed == "4":
		c.tellPlan()
	case typed == "5" && cold:
		c.cold, c.typing = true, c.o.App
		for _, f := range c.p.Plan.NotCured(nil) {
			c.print("A cold deploy does not cure %s, which you accept along with it: %s\n", f.Name, f.What)
		}
		c.print("Type %s to restart all machines with the new image, anything else to go back: ", c.o.App)
	case cold:
		c.print("Please type a number from 1 to 5: ")
	default:
		c.print("Please type a number from 1 to 4: ")
	}
}

// confirm asks for the next blocker's name, or confirms once all are accepted.
func (c *conversation) confirm() {
	open := slices.DeleteFunc(c.p.Plan.Blockers(), func(f engine.Finding) bool {
		return f.Severity != engine.SeverityRefuse && slices.Contains(slices.Concat(c.o.Accept, c.accepts), f.Name)
	})
	if len(open) == 0 {
		c.d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true, Accept: c.accepts})
		return
	}
	f := open[0]
	if f.Severity == engine.SeverityRefuse {
		c.print("%s cannot be accepted: %s\n", f.Name, f.What)
		c.planChoices()
		return
	}
	c.typing = f.Name
	c.print("This plan is blocked by %s: %s\nType %s to accept it, anything else to go back: ", f.Name, f.What, f.Name)
}

// answerTyped takes a blocker's or the app's name.
func (c *conversation) answerTyped(typed string) {
	wanted := c.typing
	c.typing = ""
	switch {
	case c.cold && typed == wanted:
		c.d.Answer(engine.Answer{To: engine.QuestionPlan, Way: engine.WayCold, Accept: engine.NamesOf(c.p.Plan.NotCured(nil))})
	case c.asked == engine.QuestionPlan && typed == wanted:
		c.accepts = append(c.accepts, wanted)
		c.confirm()
	case c.asked == engine.QuestionPlan:
		c.accepts = nil
		c.planChoices()
	case typed == wanted:
		c.d.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true, OverrideETag: c.p.Held.ETag})
	default:
		c.print("Not overridden. Choice (1 to 3): ")
	}
}

func (c *conversation) answerLock(typed string) {
	switch strings.TrimSpace(typed) {
	case "1":
		c.retry = time.Now()
		c.print("Waiting. 2 leaves, 3 overrides: ")
	case "2":
		c.d.Answer(engine.Answer{To: engine.QuestionLock})
	case "3":
		c.typing = c.o.App
		c.print("If that deploy still runs, machines can end on different versions.\nType %s to override its lock, anything else to go back: ", c.o.App)
	default:
		c.print("Please type a number from 1 to 3: ")
	}
}
