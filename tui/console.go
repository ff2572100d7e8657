package tui

import (
	"cmp"
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/plain"
	"flydeploy/tui/views"
)

const (
	busyTick    = 100 * time.Millisecond // at most ten redraws a second
	idleTick    = 500 * time.Millisecond
	noticeStays = 5 * time.Second
)

// console is the root model.
type console struct {
	opts   Options
	work   *background
	keys   keyMap
	skin   cells.Skin
	dark   bool        // the background
	theme  cells.Theme // of both
	w, h   int
	now    time.Time // of the last tick
	header string

	fleet   *fleet
	looks   looks         // at the fleet
	past    *history      // the record of deploys; nil while it is not open
	deploy  *deployScreen // ours; nil for none
	watched *deployScreen // somebody else's, or one from the record; nil for none
	dialog  *dialog       // over the screen; nil for none
	picker  *picker       // likewise
	outputs outputs       // what machines print
	output  *outputScreen // shows that, over all other screens; nil for none
	apps    *appsScreen   // likewise: which app is meant
	setup   *setupScreen  // likewise: what is missing
	doctor  *doctorScreen // likewise: checks
	next    *Next         // the console that follows this one; nil for none
	sheet   *sheet        // likewise: a deploy that has not begun
	help    *helpBox      // likewise
	views   *viewsBox     // likewise
	holder  holder        // the deploy of whose lock a dialog tells
	askedMe bool          // who deploys from here
	kept    []views.View  // what it lists

	notice     string
	noticeTone cells.Tone
	noticeEnd  time.Time

	calls      calling
	detached   bool
	summaries  []string
	lastResult *engine.Result

	stale   bool // what is shown has changed since the last view
	frame   tea.View
	painter *painter    // of a console on a terminal
	crash   *CrashError // a bug: the console leaves
}

// tickMsg paces repainting.
type tickMsg struct {
	at     time.Time
	header string
}

func newConsole(o Options, work *background) *console {
	c := &console{
		opts: o, work: work, keys: newKeyMap(o.ReadOnly, o.Backend != nil), now: time.Now(),
		fleet: newFleet(o.Preselect), stale: true, calls: calling{pressed: time.Now()},
	}
	c.keys.logs.SetEnabled(o.Logs != nil)
	c.keys.shell.SetEnabled(o.Terminal != nil && !o.ReadOnly)
	c.keys.iex.SetEnabled(o.Terminal != nil && !o.ReadOnly)
	c.keys.rebind(o.Keys)
	c.fleet.wanted = o.Columns
	c.dress(cmp.Or(o.Skin, cells.Default), o.Theme != "light")
	return c
}

// dress changes in which colours everything is painted.
func (c *console) dress(skin cells.Skin, dark bool) {
	c.skin, c.dark, c.theme, c.stale = skin, dark, cells.NewTheme(skin, dark, c.opts.ASCII), true
}

// at gives the console at another time, for a screen with a clock of its own.
func (c *console) at(now time.Time) *console {
	other := *c
	other.now = now
	return &other
}

// Init implements tea.Model.
func (c *console) Init() tea.Cmd {
	cmds := []tea.Cmd{c.tick(idleTick), c.viewsWork("", nil)}
	if len(c.opts.Wrong) > 0 && !c.opts.WrongTold {
		c.dialog = wrongDialog(c.opts.Wrong)
	}
	if o := c.opts.Theme; o != "dark" && o != "light" {
		cmds = append(cmds, tea.Raw(ansi.RequestBackgroundColor))
	}
	switch o := c.opts; {
	case o.Record != nil:
		c.watched = newDeployScreen(engine.Selection{}, c.now)
		c.watched.guest = &guest{ended: o.Ended}
		c.watched.guest.play(c.watched, o.Record, c.now)
		c.watched.guest.show(c.watched, c.watched.guest.replay.setSpeed(o.Speed))
	case o.WatchID != "":
		cmds = append(cmds, c.watch(o.WatchID))
	case o.Backend == nil && o.App == "" && o.Apps != nil:
		cmds = append(cmds, c.openApps())
	case o.Backend == nil:
		cmds = append(cmds, c.openSetup())
	case o.StartDeploy && !o.ReadOnly:
		cmds = append(cmds, c.startDeploy(o.Preselect))
	default:
		cmds = append(cmds, c.poll(0))
	}
	return tea.Batch(cmds...)
}

// Update implements tea.Model. After a crash the console quits, so that the terminal is restored as always.
func (c *console) Update(msg tea.Msg) (model tea.Model, cmd tea.Cmd) {
	model = c
	defer func() {
		if crash := caught(recover()); crash != nil {
			c.crash = crash
		}
		if c.crash != nil {
			cmd = tea.Quit
		}
	}()
	cmd = c.dispatch(msg)
	c.settle()
	return model, tea.Batch(cmd, c.call())
}

func (c *console) dispatch(msg tea.Msg) (cmd tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		cmd = c.onTick(msg)
	case crashMsg:
		c.crash = msg.CrashError
	case tea.KeyPressMsg:
		c.calls.pressed = c.now
		cmd = c.onKey(msg)
		c.stale = true
	case tea.MouseClickMsg:
		c.calls.pressed, c.stale = c.now, true
		cmd = c.onClick(msg)
	case tea.MouseWheelMsg:
		c.stale = true
		cmd = c.onWheel(msg)
	case tea.FocusMsg, tea.BlurMsg:
		c.calls.turn(msg)
	case tea.PasteMsg:
		c.onPaste(msg.Content)
	case tea.WindowSizeMsg:
		c.w, c.h, c.stale = msg.Width, msg.Height, true
	case tea.BackgroundColorMsg:
		c.dress(c.skin, msg.IsDark())
	default:
		cmd = c.onAnswer(msg)
	}
	return cmd
}

// onAnswer takes in what a command has brought.
func (c *console) onAnswer(msg tea.Msg) (cmd tea.Cmd) {
	switch msg := msg.(type) {
	case newsMsg:
		cmd = c.onNews(msg)
	case overviewMsg:
		cmd = c.onOverview(msg)
	case outputMsg:
		cmd = c.onOutput(msg)
	case appsMsg:
		c.onApps(msg)
	case setupMsg:
		c.onSetup(msg)
	case examinedMsg:
		c.onExamined(msg)
	case askedMsg:
		c.onAsked(msg)
	case madeMsg:
		cmd = c.onMade(msg)
	case sheetMsg:
		c.onSheet(msg)
	case inspectedMsg:
		c.onInspected(msg)
	case startedMsg:
		cmd = c.onStarted(msg)
	case historyMsg:
		c.onHistory(msg)
	case recordMsg:
		c.onRecord(msg)
	case copiedMsg:
		c.onCopied(msg)
	case savedMsg:
		c.onSaved(msg)
	case viewsMsg:
		c.onViews(msg)
	case holderMsg:
		c.onHolder(msg)
	case meMsg:
		c.onMe(msg)
	case visitMsg:
		cmd = c.onVisit(msg)
	case visitedMsg:
		cmd = c.onVisited(msg)
	}
	return cmd
}

// View implements tea.Model. It paints only after a change; after a crash it shows the last picture. Where there is a painter, Bubble Tea
// sees an empty view.
func (c *console) View() (frame tea.View) {
	defer func() {
		if crash := caught(recover()); crash != nil {
			c.crash, frame = crash, c.frame
		}
	}()
	if c.stale {
		c.frame = tea.NewView(c.theme.Paint(c.screen()))
		if !c.opts.NoMouse {
			c.frame.MouseMode = tea.MouseModeCellMotion
		}
		c.frame.WindowTitle, c.frame.ProgressBar = c.windowTitle(), c.taskbar()
		c.stale = false
	}
	if c.painter != nil {
		c.painter.show(c.frame)
		return tea.View{}
	}
	return c.frame
}

func (c *console) tick(d time.Duration) tea.Cmd {
	return c.work.after(d, func(context.Context) tea.Msg {
		msg := tickMsg{at: time.Now()}
		if c.opts.Header != nil {
			msg.header = c.opts.Header()
		}
		return msg
	})
}

func (c *console) onTick(t tickMsg) tea.Cmd {
	c.now = t.at
	if t.header != c.header {
		c.header, c.stale = t.header, true
	}
	if c.notice != "" && c.now.After(c.noticeEnd) {
		c.notice, c.stale = "", true
	}
	busy := false
	for _, d := range []*deployScreen{c.deploy, c.watched} {
		if d != nil {
			moved := d.moves()
			d.onTick(c)
			busy = busy || moved
		}
	}
	if c.doctor != nil && !c.doctor.over {
		c.doctor.onTick()
		busy = true
	}
	if c.setup != nil && c.setup.asks {
		c.setup.onTick()
		busy = true
	}
	read, holder := c.readOutput(0), c.askHolder()
	if busy {
		c.stale = true
		return tea.Batch(read, holder, c.tick(busyTick))
	}
	c.stale = c.stale || c.deploy == nil && c.fleet.ages(c.now)
	return tea.Batch(read, holder, c.tick(idleTick))
}

// say shows a message at the bottom for a while.
func (c *console) say(text string) {
	c.notice, c.noticeTone, c.noticeEnd, c.stale = text, cells.Warn, c.now.Add(noticeStays), true
}

// tell says that something went as it was wanted.
func (c *console) tell(text string) {
	c.say(text)
	c.noticeTone = cells.OK
}

// startDeploy deploys as the command line says.
func (c *console) startDeploy(sel engine.Selection) tea.Cmd {
	return c.startRequest(engine.Request{Select: sel})
}

// startRequest opens the deploy screen and starts the pipeline.
func (c *console) startRequest(r engine.Request) tea.Cmd {
	c.past, c.watched = nil, nil
	c.deploy = newDeployScreen(r.Select, c.now)
	c.deploy.accept(c.opts.Accept)
	c.stale = true
	return c.deploy.session.start(c.work, func() (plain.Deployment, error) { return c.opts.Backend.Deploy(r) })
}

func (c *console) onStarted(m startedMsg) tea.Cmd {
	if c.deploy == nil || c.deploy.session != m.of {
		return nil
	}
	c.stale = true
	if m.err != nil {
		if c.deploy.quitting {
			return tea.Quit
		}
		c.deploy = nil
		c.dialog = problemDialog("The deploy did not start", engine.AsProblem(m.err))
		return c.poll(0)
	}
	if c.deploy.stopping {
		m.of.deployment().Stop()
	}
	return m.of.read(c.work, 0)
}

func (c *console) onNews(m newsMsg) tea.Cmd {
	if c.watched != nil && c.watched.session == m.of {
		return c.onWatched(m)
	}
	if c.deploy == nil || c.deploy.session != m.of {
		return nil
	}
	c.deploy.take(c.now)
	c.deploy.ask(c)
	if !m.over {
		return m.of.read(c.work, readEvery)
	}
	c.stale, c.deploy.ended = true, c.now
	if c.deploy.result == nil {
		return nil
	}
	c.finish()
	if c.deploy.quitting {
		return tea.Quit
	}
	return nil
}

// onWatched takes in what somebody else's deploy does.
func (c *console) onWatched(m newsMsg) tea.Cmd {
	d := c.watched
	d.take(c.now)
	if !m.over {
		return m.of.read(c.work, readEvery)
	}
	d.guest.over, d.guest.err, d.ended, c.stale = true, m.err, c.now, true
	if d.result != nil {
		d.board.end(*d.result)
	}
	return nil
}

// finish keeps the summary of the deploy that has just ended, once.
func (c *console) finish() {
	d := c.deploy
	if d.result == nil || d.summed {
		return
	}
	d.summed = true
	c.dialog, c.picker, c.watched, c.output, c.notice = nil, nil, nil, nil, "" // what a notice announced is over
	c.lastResult = d.result
	d.board.end(*d.result)
	if d.result.DryRun && d.pane == paneBoard { // it was run for its plan
		d.turn(panePlan, d.progress.Plan != nil)
	}
	c.summaries = append(c.summaries, wrapped(plain.Summary(*d.result)+c.opts.recall(*d.result), c.w))
}

// backToFleet leaves the screen of a deploy that has ended. Marks stay until it has succeeded: whoever tries again means the same
// machines.
func (c *console) backToFleet() tea.Cmd {
	if r := c.deploy.result; r != nil && r.Outcome == engine.OutcomeSucceeded && !r.DryRun {
		c.fleet.unmark()
	}
	c.fleet.learn(c.deploy)
	c.deploy, c.dialog, c.picker, c.sheet = nil, nil, nil, nil
	return c.poll(0)
}
