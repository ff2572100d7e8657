package tui

import (
	"fmt"
	"io"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// What the console has the terminal do, and takes back, beside what Bubble Tea does: that makes it raw and tells its size.

// options are what makes Bubble Tea leave the terminal's screen to the painter: it writes to nothing, and looks once a second. Without its
// renderer it would not make the terminal raw, nor tell its size.
func (p *painter) options() []tea.ProgramOption {
	options := []tea.ProgramOption{
		tea.WithoutSignalHandler(), tea.WithEnvironment(p.env), tea.WithColorProfile(p.profile), tea.WithFPS(1), tea.WithFilter(p.hear), tea.WithOutput(io.Discard),
	}
	if f, ok := p.out.(term.File); ok {
		options = append(options, tea.WithOutput(mute{f}))
	}
	if p.in != nil {
		options = append(options, tea.WithInput(p.in))
	}
	return options
}

// hear takes from Bubble Tea's messages what is about the terminal. That is given back while Bubble Tea still reads from it.
func (p *painter) hear(_ tea.Model, msg tea.Msg) tea.Msg {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.resize(msg.Width, msg.Height)
	case tea.ModeReportMsg:
		p.learn(msg)
	case tea.RawMsg:
		p.send(fmt.Sprint(msg.Msg))
	case visitedMsg:
		p.enter()
	case tea.QuitMsg:
		p.leave()
	}
	return msg
}

// mute is a terminal that does not show what is written to it.
type mute struct{ term.File }

func (mute) Write(b []byte) (int, error) { return len(b), nil }

// answers reports whether the terminal may be asked for its modes. Apple's shows the question, and through SSH the answer may come when
// nobody waits for it any more.
func answers(env []string) bool {
	e := uv.Environ(env)
	knows := func(name string) bool { return strings.Contains(e.Getenv("TERM"), name) }
	_, windows := e.LookupEnv("WT_SESSION")
	_, ssh := e.LookupEnv("SSH_TTY")
	return windows || slices.ContainsFunc([]string{"ghostty", "wezterm", "alacritty", "kitty", "rio"}, knows) ||
		!ssh && !strings.Contains(e.Getenv("TERM_PROGRAM"), "Apple")
}

// entering takes the terminal: a screen of its own without a cursor; pasted text, focus and mouse are told, and keys apart from each other.
func entering(p picture) string {
	mouse := ""
	if p.MouseMode != tea.MouseModeNone {
		mouse = ansi.SetModeMouseButtonEvent + ansi.SetModeMouseExtSgr
	}
	return ansi.SetModeAltScreenSaveCursor + ansi.ResetModeTextCursorEnable + ansi.SetModeBracketedPaste + ansi.SetModeFocusEvent + mouse +
		ansi.SetModifyOtherKeys2 + ansi.PushKittyKeyboard(ansi.KittyDisambiguateEscapeCodes)
}

// leaving takes back what entering and the picture have set. The cursor goes to the bottom where there is no other screen.
func leaving(p picture) string {
	s := ansi.ResetModifyOtherKeys + ansi.PopKittyKeyboard(1) + ansi.CursorPosition(1, p.h) + ansi.ResetModeAltScreenSaveCursor +
		ansi.SetModeTextCursorEnable + ansi.ResetModeBracketedPaste + ansi.ResetModeFocusEvent +
		ansi.ResetModeMouseButtonEvent + ansi.ResetModeMouseExtSgr + ansi.SetWindowTitle("")
	if p.ProgressBar != nil {
		s += ansi.ResetProgressBar
	}
	if p.widths == ansi.GraphemeWidth {
		s += ansi.ResetModeUnicodeCore
	}
	return s
}

// progress is the sequence for the bar that the terminal's window has in the taskbar.
func progress(bar *tea.ProgressBar) string {
	if bar == nil {
		return ansi.ResetProgressBar
	}
	switch bar.State {
	case tea.ProgressBarDefault:
		return ansi.SetProgressBar(bar.Value)
	case tea.ProgressBarError:
		return ansi.SetErrorProgressBar(bar.Value)
	case tea.ProgressBarIndeterminate:
		return ansi.SetIndeterminateProgressBar
	case tea.ProgressBarWarning:
		return ansi.SetWarningProgressBar(bar.Value)
	}
	return ansi.ResetProgressBar
}
