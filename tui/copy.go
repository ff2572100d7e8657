package tui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// copiedMsg and savedMsg tell where a text went.
type copiedMsg struct {
	what string
	file string
	err  error
}

type savedMsg struct {
	file string
	err  error
}

// copy puts text on the clipboard by OSC 52. Terminals do not say whether they obeyed, so the text goes into a file as well.
func (c *console) copy(what, text string) tea.Cmd {
	if text == "" {
		c.say("There is nothing to copy here")
		return nil
	}
	dir := c.opts.cacheDir()
	return tea.Batch(tea.Raw(ansi.SetSystemClipboard(text)), c.work.cmd(func(context.Context) tea.Msg {
		file, err := writeText(filepath.Join(dir, "copied.txt"), text)
		return copiedMsg{what, file, err}
	}))
}

func (c *console) onCopied(m copiedMsg) {
	if m.err != nil {
		c.say("Copied " + m.what + " to the clipboard; the file could not be written: " + m.err.Error())
		return
	}
	c.tell("Copied " + m.what + " to the clipboard and to " + m.file)
}

func (c *console) onSaved(m savedMsg) {
	if m.err != nil {
		c.say("The log could not be saved: " + m.err.Error())
		return
	}
	c.tell("Saved to " + m.file)
}

// writeText writes a file that only its owner can read: logs may hold what others should not see.
func writeText(name, text string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// copied gives what y copies from the fleet: the marked ids, else the one under the cursor.
func (f *fleet) copied() (what, content string) {
	visible, hidden := f.marks()
	if ids := append(visible, hidden...); len(ids) > 0 {
		for i, id := range ids {
			ids[i] = text.Line(id)
		}
		return text.Counted(len(ids), "marked id"), strings.Join(ids, "\n") + "\n"
	}
	if m, ok := f.current(); ok {
		return "the id " + m.ID, text.Line(m.ID) + "\n"
	}
	return "", ""
}

// copied gives what y copies from a deploy: the plan while it is shown, else all details of the machine under the cursor.
func (d *deployScreen) copied(c *console) (what, content string) {
	const width = 100
	switch r := d.board.current(); {
	case d.planning(c.now) || d.pane == panePlan:
		return "the plan", cells.String(view.Plan(d.progress.Plan, d.accepted, width))
	case r != nil:
		return "the details of " + r.m.ID, cells.String(d.details(c, width))
	}
	return "", ""
}

func (c *console) saveLog(upgrade engine.Upgrade, lines []cells.Line) tea.Cmd {
	id := upgrade.ID
	if id == "" {
		id = "deploy"
	}
	name := filepath.Join(c.opts.cacheDir(), fmt.Sprintf("%s.log", filepath.Base(id)))
	return c.work.cmd(func(context.Context) tea.Msg {
		file, err := writeText(name, cells.String(lines))
		return savedMsg{file, err}
	})
}
