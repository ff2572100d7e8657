package tui

import (
	"fmt"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

const (
	answerWithin = 3 * time.Second // if the question still stands after this, the answer was lost
	tryLockEvery = 5 * time.Second // while we wait for somebody else's lock
)

// pane is what fills a deploy's screen below its title.
type pane int

const (
	paneBoard   pane = iota // steps, machines, the log's last lines
	paneDetails             // of the machine under the cursor
	panePlan
	paneMap // a cell for each machine
	paneModules
	paneTimeline
	paneLog
)

// deployScreen is one deploy on the screen.
type deployScreen struct {
	session  *session
	guest    *guest // nil: it is ours
	sel      engine.Selection
	progress *engine.Progress
	board    *board
	result   *engine.Result // nil while it runs
	summed   bool           // its summary is kept
	began    time.Time
	asked    time.Time     // since when everything waits for the operator, zero for not
	waited   time.Duration // for the operator, before that
	ended    time.Time     // on the console's clock, zero before

	question engine.Question // the last that was asked
	answered time.Time       // when it was answered, zero before
	waiting  bool            // for somebody else's lock
	accepted map[string]bool // blockers, by name
	asking   *dialog         // about the question
	onDeploy bool            // the plan's focus is on Deploy, not on Cancel
	pane     pane
	opener   pane       // from which the details of a machine were opened
	chart    fleetMap   // as settle has laid it out
	filter   filter     // of it
	column   int        // of it, in which up and down stay
	page     cells.Page // the plan, the map, or the details of one machine
	read     int        // how many of the plan's lines have been on the screen
	log      logPane
	modules  modulesPane

	leaving  bool // the operator was asked how to leave
	stopping bool
	quitting bool // once it has ended
}

func newDeployScreen(sel engine.Selection, now time.Time) *deployScreen {
	return &deployScreen{
		session: &session{}, sel: sel, progress: engine.NewProgress(), board: newBoard(), began: now, accepted: map[string]bool{},
		log: logPane{follow: true}, column: ofCursor,
	}
}

// accept takes blockers' names that need not be typed again.
func (d *deployScreen) accept(names []string) {
	for _, name := range names {
		d.accepted[name] = true
	}
}

// take applies the events that wait in the session.
func (d *deployScreen) take(now time.Time) {
	events, result := d.session.take()
	d.apply(events, now)
	d.result = result
}

func (d *deployScreen) apply(events []engine.Event, now time.Time) {
	for _, e := range events {
		d.progress.Apply(e)
		switch asks := asksOperator(d.progress); {
		case asks && d.asked.IsZero():
			d.asked = e.At
		case !asks && !d.asked.IsZero():
			d.waited += d.waits(e.At)
			d.asked = time.Time{}
		}
		if e.Machine != "" && e.Log == "" {
			d.board.follow(d.progress.Machine(e.Machine), now)
		}
	}
	if d.progress.Plan != nil {
		d.board.plan(d.progress.Plan, now)
	}
	d.board.sum()
	d.sort(now)
}

// sort orders the board. Details that fill the screen stay those of one machine, and the map's cursor stays on it.
func (d *deployScreen) sort(now time.Time) {
	d.board.held = d.pane == paneDetails || d.pane == paneMap
	d.board.sort(now)
}

// onTick keeps the rows in order, and tries the lock again while the operator waits for it.
func (d *deployScreen) onTick(c *console) {
	if d.guest != nil {
		d.guest.onTick(d, c.now)
		return
	}
	d.sort(c.now)
	d.ask(c)
	if d.waiting && c.now.Sub(d.answered) >= tryLockEvery {
		d.answer(c, engine.Answer{Proceed: true}) // no override: try again
	}
}

// moves reports whether the screen changes by itself.
func (d *deployScreen) moves() bool {
	if d.guest != nil {
		return d.guest.moves() || d.guest.live && d.board.unsorted
	}
	return d.result == nil || d.board.unsorted
}

// ask shows the question that the deploy is waiting for, and removes an old one.
func (d *deployScreen) ask(c *console) {
	asks := d.progress.Asks()
	if d.result != nil {
		asks = engine.QuestionNone
	}
	if asks != d.question {
		d.questionGone(c)
		c.picker = nil // its entries have changed
		if asks == engine.QuestionPlan || asks == engine.QuestionLock {
			c.output = nil // somebody has to look at this
		}
		if asks != engine.QuestionWatch && d.question != engine.QuestionWatch { // that one leaves the screen as it is
			d.page.Scroll, d.pane = 0, paneBoard
		}
		d.question, d.answered, d.onDeploy = asks, time.Time{}, false
		d.waiting = d.waiting && asks == engine.QuestionLock
	}
	unanswered := !d.waiting && c.now.Sub(d.answered) > answerWithin
	switch {
	case !unanswered || c.dialog != nil || c.help != nil || c.typing() != nil: // letters that are being typed must not answer it
	case asks == engine.QuestionLock:
		d.open(c, d.lockDialog(c))
	case len(d.progress.Ways) > 0 && (asks == engine.QuestionSick || asks == engine.QuestionFailed || asks == engine.QuestionBack):
		d.open(c, d.waysDialog())
	}
}

// questionGone closes the dialog about a question that no longer stands, and what was watched while waiting for the lock.
func (d *deployScreen) questionGone(c *console) {
	if c.dialog != nil && c.dialog == d.asking {
		c.dialog = nil
	}
	if d.question == engine.QuestionLock && c.watched != nil {
		c.watched = nil
		c.tell("The lock is free: this is your own deploy again")
	}
}

// open shows a dialog that closes with its question.
func (d *deployScreen) open(c *console, about *dialog) { c.dialog, d.asking = about, about }

// answer answers the question that is on the screen.
func (d *deployScreen) answer(c *console, a engine.Answer) {
	d.answered, a.To = c.now, d.progress.Asks()
	if running := d.session.deployment(); running != nil {
		running.Answer(a)
	}
}

// planning reports whether the plan is on the screen and waits for its confirmation.
func (d *deployScreen) planning(now time.Time) bool {
	return d.guest == nil && d.result == nil && !d.stopping && d.progress.Asks() == engine.QuestionPlan &&
		(d.answered.IsZero() || now.Sub(d.answered) > answerWithin)
}

func (d *deployScreen) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if d.pane == paneLog {
		return d.log.press(c, d, k)
	}
	if d.pane == paneModules {
		return d.modules.press(c, d, k)
	}
	if d.pane == paneMap && d.pressMap(c, k) {
		return nil
	}
	if by, ok := c.step(k); ok {
		d.move(c, by)
		return nil
	}
	if cmd, ok := c.pressTrial(k, d.leftTrial(c)); ok {
		return cmd
	}
	switch {
	case key.Matches(k, c.keys.log):
		d.pane = paneLog
	case key.Matches(k, c.keys.copy):
		return c.copy(d.copied(c))
	case key.Matches(k, c.keys.logs) && d.hasLogs():
		return c.openOutput(d.underCursor(), d)
	case key.Matches(k, d.offered(c.keys).shell, d.offered(c.keys).iex) && !d.planning(c.now):
		return c.visit(d.underCursor(), key.Matches(k, c.keys.iex))
	case key.Matches(k, c.keys.modules):
		d.showModules()
	case key.Matches(k, c.keys.timeline) && !d.planning(c.now):
		d.turn(paneTimeline, len(d.board.rows) > 0)
	case d.planning(c.now):
		return d.pressPlan(c, k)
	case key.Matches(k, c.keys.details), d.guest == nil && d.pane == paneBoard && key.Matches(k, c.keys.in):
		d.turn(paneDetails, d.board.current() != nil)
	case key.Matches(k, c.keys.plan):
		d.turn(panePlan, d.progress.Plan != nil)
	case key.Matches(k, c.keys.fleetMap):
		d.turn(paneMap, len(d.board.rows) > 0)
	case d.pane != paneBoard && (key.Matches(k, c.keys.back) || d.guest == nil && key.Matches(k, c.keys.out)):
		d.turn(paneBoard, true)
	case pressed(k, c.keys.problem):
		d.openOutcome(c)
	case d.pane == paneBoard && d.board.sortBy(k.String(), c.now):
	case d.guest != nil:
		return d.guest.press(c, d, k)
	case key.Matches(k, c.keys.promote) && d.watching():
		d.promote(c)
	case key.Matches(k, c.keys.hold) && d.watching():
		d.hold(c)
	case key.Matches(k, c.keys.override) && d.waiting:
		d.open(c, d.overrideDialog(c))
	case key.Matches(k, c.keys.watch) && d.waiting && !d.progress.Held.Frozen():
		return c.watch(d.progress.Held.DeploymentID)
	case d.result == nil && key.Matches(k, c.keys.back, c.keys.quit):
		d.askToLeave(c)
	case d.result != nil && key.Matches(k, c.keys.deploy):
		return d.again(c)
	case d.result != nil && key.Matches(k, c.keys.back):
		return c.backToFleet()
	case d.result != nil && key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

// turn shows another pane; from that pane it goes back to the board, or to the map from which details were opened.
func (d *deployScreen) turn(to pane, there bool) {
	from := d.pane
	switch {
	case !there:
		to = paneBoard
	case to == from, to == paneBoard:
		to = d.opener
	}
	d.opener = paneBoard
	if from == paneMap && to == paneDetails {
		d.opener = paneMap
	}
	d.pane, d.page, d.filter.typed, d.column = to, cells.Page{}, nil, ofCursor
}

// move scrolls what fills the screen, or moves the cursor.
func (d *deployScreen) move(c *console, by int) {
	if d.pane != paneBoard || d.planning(c.now) {
		d.page.Scroll += by
		return
	}
	d.board.move(by, c.now)
}

func (d *deployScreen) pressPlan(c *console, k tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(k, c.keys.confirm):
		return d.confirm(c)
	case key.Matches(k, d.offered(c.keys).cold):
		d.open(c, d.coldDialog(c))
	case key.Matches(k, c.keys.next):
		d.onDeploy = !d.onDeploy
	case key.Matches(k, c.keys.details) && d.onDeploy:
		return d.confirm(c)
	case key.Matches(k, c.keys.details, c.keys.back, c.keys.quit): // Cancel asks as well: a build was spent on this plan
		d.askToLeave(c)
	}
	return nil
}

// confirm starts the commit, unless the plan forbids it or a blocker still has to be accepted by its name.
func (d *deployScreen) confirm(c *console) tea.Cmd {
	a := engine.Answer{Proceed: true}
	for _, f := range d.progress.Plan.Blockers() {
		switch {
		case f.Severity == engine.SeverityRefuse:
			c.say(f.Name + " cannot be accepted: " + f.What)
			return nil
		case !d.accepted[f.Name]:
			d.open(c, d.acceptDialog(f))
			return nil
		}
		a.Accept = append(a.Accept, f.Name)
	}
	if unread := d.page.Len() - d.read; unread > 0 {
		d.open(c, d.unreadDialog(unread, a))
		return nil
	}
	d.answer(c, a)
	return nil
}

// again asks about another deploy of the same machines: one that finishes this one, where it is not finished, or a new one.
func (d *deployScreen) again(c *console) tea.Cmd {
	var sources []source
	if r := d.result; view.Unfinished(*r) {
		sources = []source{{words: "finish this deploy, with what it has built", request: engine.Request{Resume: true, Meant: r.Upgrade.ID}}}
	}
	return c.openSheet(d.sel, sources...)
}

func (d *deployScreen) stop(c *console) {
	d.stopping, d.leaving = true, false
	if running := d.session.deployment(); running != nil {
		running.Stop()
	}
	c.say("Stopping: nothing new starts, machines finish what they are doing")
}

func (d *deployScreen) stopAndQuit(c *console) tea.Cmd {
	c.dialog = nil
	d.quitting = true
	d.stop(c)
	c.say("Stopping, and leaving once everything is cleaned up; ctrl-c again leaves within 8 s")
	return nil
}

func (d *deployScreen) hurry(c *console) {
	if running := d.session.deployment(); running != nil {
		running.Hurry()
	}
	c.say("Leaving within 8 s; machines that have not answered by then finish on their own")
}

// committing reports whether the plan is confirmed, so that the deploy goes on without an operator.
func (d *deployScreen) committing() bool {
	return d.progress.Fleet[engine.PhasePlan].Status == engine.StatusDone
}

// elapsed is how long the deploy has taken so far, or took in total.
func (d *deployScreen) elapsed(now time.Time) time.Duration {
	if d.result != nil {
		return d.result.Took()
	}
	return now.Sub(d.began) - d.waited - d.waits(now)
}

// waits is for how long the deploy has waited for an answer by now, 0 while it does not.
func (d *deployScreen) waits(now time.Time) time.Duration {
	if d.asked.IsZero() {
		return 0
	}
	return max(now.Sub(d.asked), 0)
}

// target says briefly what is deployed, and where.
func (d *deployScreen) target(w int) string {
	u := d.progress.Upgrade
	switch {
	case u.Version != "" && w < 100:
		return u.Version
	case u.Version != "" && u.ID != "":
		return u.Version + " (" + u.ID + ")"
	case u.ID != "":
		return u.ID
	case d.guest != nil:
		return d.guest.id
	case len(d.sel.Machines) > 0:
		return fmt.Sprintf("to %s", text.Counted(len(d.sel.Machines), "machine"))
	}
	return "to all machines"
}
