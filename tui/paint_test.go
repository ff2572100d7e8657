package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// plainTerminal is not asked for its modes.
var plainTerminal = []string{"TERM=xterm-256color", "COLORTERM=truecolor", "SSH_TTY=/dev/pts/1"}

// paper is a terminal that notes down each piece that is written to it.
type paper struct {
	pieces []string
	blocks chan struct{} // when not nil, writing waits for it
}

func (p *paper) Write(b []byte) (int, error) {
	if p.blocks != nil {
		<-p.blocks
	}
	p.pieces = append(p.pieces, string(b))
	return len(b), nil
}

// took gives what has been written since it was last asked.
func (p *paper) took() []string {
	pieces := p.pieces
	p.pieces = nil
	return pieces
}

func painterOn(t *testing.T, out *paper, s size) *painter {
	p := newPainter(Options{Output: out, Environ: plainTerminal}, func(crash *CrashError) { t.Error(crash) })
	p.profile = colorprofile.TrueColor
	p.resize(s.w, s.h)
	return p
}

// Whatever is shown after whatever else, at whatever size: the terminal has the last picture, as if nothing else had ever been there.
func TestPainterShowsTheLastPicture(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 19))
				s, out := size{80, 24}, &paper{}
				screen := vt.NewEmulator(s.w, s.h)
				p := painterOn(t, out, s)
				written := func() {
					synctest.Wait()
					for _, piece := range out.took() {
						_, _ = screen.WriteString(piece)
					}
				}
				var lines []string
				for step := range 60 {
					if r.IntN(6) == 0 {
						next := size{1 + r.IntN(100), 1 + r.IntN(30)}
						if next.h < s.h { // to an emulator that is lower now, what was meant for it before is too much
							written()
						}
						s = next
						screen.Resize(s.w, s.h)
						written()
						p.resize(s.w, s.h)
						lines = nil
					}
					lines = changedLines(r, lines, s)
					p.show(tea.NewView(strings.Join(lines, "\n")))
					if r.IntN(3) == 0 {
						continue // a newer picture comes before this one is painted
					}
					time.Sleep(paintEvery)
					written()
					if got, want := seen(screen), seen(naive(lines, s)); got != want {
						t.Fatalf("step %d at %v:\n%s\nwant\n%s", step, s, got, want)
					}
				}
				p.leave()
			})
		})
	}
}

// changedLines is a picture that has something in common with the one before.
func changedLines(r *rand.Rand, before []string, s size) []string {
	pieces := []string{"plain ", "\x1b[1;31mred\x1b[m", "\x1b[38;2;1;2;3;48;5;7mcolours \x1b[m", "日本", "e\u0301", " ", "          ", "───", "✓ done ", "\x1b]8;;https://fly.io\x1b\\link\x1b]8;;\x1b\\"}
	random := func() string {
		var b strings.Builder
		for range r.IntN(16) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	lines := make([]string, max(1, s.h-r.IntN(3)))
	shift := []int{0, 0, 0, 1, -1, 3}[r.IntN(6)] // it scrolls
	for y := range lines {
		if from := y + shift; from >= 0 && from < len(before) && r.IntN(5) > 0 {
			lines[y] = before[from]
		} else {
			lines[y] = random()
		}
	}
	return lines
}

// naive is a fresh terminal on which each line was written whole.
func naive(lines []string, s size) *vt.Emulator {
	screen := vt.NewEmulator(s.w, s.h)
	for y, l := range lines {
		_, _ = screen.WriteString(ansi.CursorPosition(1, y+1) + ansi.TruncateWc(l, s.w, ""))
	}
	return screen
}

// seen is what a terminal shows. In which colour nothing is written cannot be seen.
func seen(screen *vt.Emulator) string {
	var b strings.Builder
	for y := range screen.Height() {
		for x := range screen.Width() {
			switch cell := screen.CellAt(x, y); {
			case cell == nil || cell.Width == 0:
			case cell.Content == " ":
				fmt.Fprint(&b, " ", cell.Style.Bg, cell.Style.Attrs, cell.Link.URL)
			default:
				fmt.Fprint(&b, cell.Content, cell.Style.Fg, cell.Style.Bg, cell.Style.Attrs, cell.Link.URL)
			}
		}
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), "<nil>", "")
}

// An idle painter has nothing that could wake it: no timer, no goroutine (synctest would wait for that for ever).
func TestPainterRestsWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &paper{}
		p := painterOn(t, out, size{40, 10})
		rests := func() bool {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return !p.due
		}
		p.show(tea.NewView("one"))
		if !rests() || len(out.took()) != 1 {
			t.Error("a change after a rest is not painted at once")
		}
		for i := range 10 {
			p.show(tea.NewView(fmt.Sprint("two ", i)))
		}
		if rests() || len(out.took()) != 0 {
			t.Error("what comes soon after a painting is painted at once")
		}
		time.Sleep(paintEvery)
		if rested, pieces := rests(), out.took(); !rested || len(pieces) != 1 || !strings.Contains(pieces[0], "two 9") {
			t.Errorf("painted %q, want the newest once", pieces)
		}
		time.Sleep(time.Hour)
		p.show(tea.NewView("two 9")) // an Update that has changed nothing
		if !rests() {
			t.Error("what is shown already is to be painted")
		}
		time.Sleep(time.Hour)
		if pieces := out.took(); len(pieces) != 0 {
			t.Errorf("painted %q while nothing changed", pieces)
		}
	})
}

// A terminal that takes its time makes nobody wait, and sees no picture that is old when it comes.
func TestPainterDoesNotWaitForTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &paper{blocks: make(chan struct{})}
		p := painterOn(t, out, size{40, 10})
		p.show(tea.NewView("first"))
		synctest.Wait()
		for i := range 10 {
			p.show(tea.NewView(fmt.Sprint("number ", i)))
		}
		close(out.blocks)
		time.Sleep(2 * paintEvery)
		pieces := out.took()
		if len(pieces) != 2 || !strings.Contains(pieces[0], "first") || !strings.Contains(pieces[1], "number 9") {
			t.Errorf("painted %q", pieces)
		}
	})
}

// What the terminal was told is taken back, once, and told again where the console gets it back.
func TestPainterGivesTheTerminalBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &paper{}
		p := painterOn(t, out, size{40, 10})
		p.leave()
		p.enter()
		if synctest.Wait(); len(out.took()) != 1 {
			t.Error("nothing is painted after the terminal came back")
		}
		view := tea.NewView("the picture")
		view.MouseMode, view.WindowTitle, view.ProgressBar = tea.MouseModeCellMotion, "a title", tea.NewProgressBar(tea.ProgressBarDefault, 20)
		const taken = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[?1002h\x1b[?1006h\x1b[>4;2m\x1b[>1u"
		p.leave()
		out.took()
		for range 2 {
			p.show(view)
			p.send("\a")
			p.enter()
			time.Sleep(2 * paintEvery)
			if painted := strings.Join(out.took(), ""); !strings.HasPrefix(painted, taken+"\a\x1b]2;a title\a\x1b]9;4;1;20\a") || !strings.Contains(painted, "the picture") {
				t.Errorf("painted %q", painted)
			}
			p.learn(tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeReset})
			p.learn(tea.ModeReportMsg{Mode: ansi.ModeSynchronizedOutput, Value: ansi.ModeReset})
			time.Sleep(2 * paintEvery)
			if painted := strings.Join(out.took(), ""); !strings.HasPrefix(painted, "\x1b[?2027h\x1b[;r\x1b[?2026h") || !strings.HasSuffix(painted, "\x1b[?2026l") {
				t.Errorf("painted %q", painted)
			}
			p.leave()
			p.leave()
			p.show(tea.NewView("somebody else is there"))
			time.Sleep(time.Hour)
			const back = "\x1b[>4m\x1b[<1u\x1b[10;1H\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[?1004l\x1b[?1002l\x1b[?1006l\x1b]2;\a\x1b]9;4;0\a\x1b[?2027l"
			if pieces := out.took(); len(pieces) != 1 || pieces[0] != back {
				t.Errorf("left %q, want %q", pieces, back)
			}
			p.learn(tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeReset})
			p.wanted.widths, p.wanted.synced = ansi.WcWidth, false
		}
	})
}
