package tui

import (
	"context"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
)

const (
	pollEvery   = 2 * time.Second        // one list of machines for each refresh of the fleet screen
	busyTick    = 100 * time.Millisecond // at most ten redraws a second
	idleTick    = 500 * time.Millisecond
	noticeStays = 5 * time.Second
)

// console is the root model.
type console struct {
	opts   Options
	work   *background
	keys   keyMap
	theme  theme
	w, h   int
	now    time.Time // of the last tick
	header string

	fleet   *fleet
	polling bool
	deploy  *deploy // nil while the fleet is shown
	dialog  *dialog // over the screen; nil for none

	notice    string
	noticeEnd time.Time

	detached   bool
	summaries  []string
	lastResult *engine.Result

	stale bool // what is shown has changed since it was painted
	frame tea.View
	crash *CrashError // a bug: the console leaves
}

// overviewMsg is a look at the fleet.
type overviewMsg struct {
	overview engine.Overview
	err      error
}

// tickMsg paces repainting.
type tickMsg struct {
	at     time.Time
	header string
}

func newConsole(o Options, work *background) *console {
	return &console{
		opts: o, work: work, keys: newKeyMap(o.ReadOnly), theme: newTheme(o.Theme != "light", o.ASCII), now: time.Now(),
		fleet: newFleet(o.Preselect), stale: true,
	}
}

// Init implements tea.Model.
func (c *console) Init() tea.Cmd {
	cmds := []tea.Cmd{c.tick(idleTick)}
	if o := c.opts.Theme; o != "dark" && o != "light" {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	if c.opts.StartDeploy && !c.opts.ReadOnly {
		return tea.Batch(append(cmds, c.startDeploy(c.opts.Preselect))...)
	}
	return tea.Batch(append(cmds, c.poll(0))...)
}

// Update implements tea.Model. After a crash it leaves, so that the terminal is restored as always.
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
	return model, cmd
}

func (c *console) dispatch(msg tea.Msg) (cmd tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		cmd = c.onTick(msg)
	case newsMsg:
		cmd = c.onNews(msg)
	case overviewMsg:
		cmd = c.onOverview(msg)
	case startedMsg:
		cmd = c.onStarted(msg)
	case crashMsg:
		c.crash = msg.CrashError
	case tea.KeyPressMsg:
		cmd = c.onKey(msg)
		c.stale = true
	case tea.PasteMsg:
		c.onPaste(msg.Content)
	case tea.WindowSizeMsg:
		c.w, c.h, c.stale = msg.Width, msg.Height, true
	case tea.BackgroundColorMsg:
		c.theme, c.stale = newTheme(msg.IsDark(), c.opts.ASCII), true
	}
	return cmd
}

// View implements tea.Model. It paints only after a change. A crash leaves the picture as it was.
func (c *console) View() (frame tea.View) {
	defer func() {
		if crash := caught(recover()); crash != nil {
			c.crash, frame = crash, c.frame
		}
	}()
	if c.stale {
		c.frame = tea.NewView(c.theme.paint(c.screen()))
		c.frame.AltScreen = true
		c.stale = false
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
	if c.deploy == nil {
		c.stale = c.stale || c.fleet.ages()
		return c.tick(idleTick)
	}
	c.deploy.onTick(c)
	if c.deploy.result != nil {
		return c.tick(idleTick)
	}
	c.stale = true
	return c.tick(busyTick)
}

// say shows a remark at the bottom for a while.
func (c *console) say(text string) {
	c.notice, c.noticeEnd, c.stale = text, c.now.Add(noticeStays), true
}

// poll looks at the fleet after a while.
func (c *console) poll(wait time.Duration) tea.Cmd {
	if c.opts.Overview == nil || c.polling {
		return nil
	}
	c.polling = true
	return c.work.after(wait, func(ctx context.Context) tea.Msg {
		o, err := c.opts.Overview(ctx)
		return overviewMsg{o, err}
	})
}

func (c *console) onOverview(m overviewMsg) tea.Cmd {
	c.polling = false
	c.fleet.look(m, c.now)
	if c.deploy != nil {
		return nil // the deploy screen needs no list; it is asked for again on the way back
	}
	c.stale = true
	return c.poll(pollEvery)
}

// onKey gives a key press to what is on top. A screen too small to show what a key would do takes only leaving.
func (c *console) onKey(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(k, c.keys.interrupt):
		return c.interrupt()
	case c.tiny():
		return c.tinyKey(k)
	case c.dialog != nil:
		return c.dialog.press(c, k)
	case c.deploy == nil && c.fleet.filtering:
		c.fleet.typeFilter(k)
		return nil
	case key.Matches(k, c.keys.help):
		c.dialog = c.helpDialog()
		return nil
	case c.deploy != nil:
		return c.deploy.press(c, k)
	}
	return c.fleet.press(c, k)
}

func (c *console) onPaste(text string) {
	k := tea.KeyPressMsg{Text: text}
	switch {
	case c.tiny():
	case c.dialog != nil && c.dialog.typed != "":
		c.dialog.input = edit(c.dialog.input, k)
	case c.dialog == nil && c.deploy == nil && c.fleet.filtering:
		c.fleet.typeFilter(k)
	}
	c.stale = true
}

// interrupt is ctrl-c: it leaves, asks while a deploy runs, and stops the deploy when it was asked already.
func (c *console) interrupt() tea.Cmd {
	switch {
	case c.deploy == nil || c.deploy.result != nil:
		return tea.Quit
	case c.deploy.leaving:
		return c.deploy.stopAndQuit(c)
	default:
		c.deploy.askToLeave(c)
		return nil
	}
}

// startDeploy opens the deploy screen and starts the pipeline.
func (c *console) startDeploy(sel engine.Selection) tea.Cmd {
	c.deploy = newDeploy(sel, c.now)
	c.stale = true
	return c.deploy.session.start(c.work, func() (Deployment, error) { return c.opts.Deploy(sel) })
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
	if c.deploy == nil || c.deploy.session != m.of {
		return nil
	}
	c.deploy.take(c.now)
	c.deploy.ask(c)
	if !m.over {
		return m.of.read(c.work, readEvery)
	}
	c.stale = true
	if c.deploy.result == nil {
		return nil
	}
	c.finish()
	if c.deploy.quitting {
		return tea.Quit
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
	c.dialog = nil
	c.lastResult = d.result
	c.summaries = append(c.summaries, Summary(d.progress, *d.result))
}

// backToFleet leaves the screen of a deploy that has ended.
func (c *console) backToFleet() tea.Cmd {
	c.deploy, c.dialog = nil, nil
	c.fleet.unmark()
	return c.poll(0)
}
