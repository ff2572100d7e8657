package tui

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// paintEvery is the least time between the beginnings of two paintings.
const paintEvery = time.Second / 60

// painter writes to the terminal what the console shows. Bubble Tea's renderer looks sixty times a second whether there is something to
// write, which is most of what an idle console costs; the painter is woken by what has changed. It writes that at once, or when paintEvery
// has gone by since the last painting. While the terminal takes its time, newer pictures replace the one that waits, and nobody else waits.
type painter struct {
	in      io.Reader // nil: the terminal
	out     io.Writer
	env     []string
	profile colorprofile.Profile
	onCrash func(*CrashError)

	mu     sync.Mutex // guards what follows; not held while the terminal is written to
	wanted picture
	due    bool      // a painting has been ordered and has not begun
	next   time.Time // no painting before this
	away   bool      // somebody else has the terminal

	writing sync.Mutex // guards what follows, and the terminal
	entered bool       // the terminal is the console's
	shown   picture
	lines   []string // of shown
	cells   uv.ScreenBuffer
	screen  *uv.TerminalRenderer // finds out which cells differ
	buf     bytes.Buffer
}

// picture is what the terminal is to show.
type picture struct {
	tea.View
	w, h   int         // of the terminal
	widths ansi.Method // how the terminal measures what it shows
	synced bool        // it shows what comes between two marks at once
	erase  bool        // what it shows is not known any more
	raw    string      // to be written once, as it is
}

// newPainter gives one for what the options say. onCrash is told of a bug in painting, and must not wait.
func newPainter(o Options, onCrash func(*CrashError)) *painter {
	p := &painter{in: o.Input, out: o.Output, env: o.Environ, onCrash: onCrash}
	profile, decided := colorProfile(o.Environ)
	if !decided {
		profile = colorprofile.Detect(p.out, o.Environ)
	}
	p.profile = profile
	if answers(o.Environ) {
		p.wanted.raw = ansi.RequestModeSynchronizedOutput + ansi.RequestModeUnicodeCore
	}
	return p
}

// show has a view painted. Every line of it stands for itself: it begins and ends without colours and links.
func (p *painter) show(v tea.View) {
	p.want(func(now *picture) bool {
		same := v.Content == now.Content && v.WindowTitle == now.WindowTitle && v.ProgressBar == now.ProgressBar && !now.erase
		now.View = v
		return !same
	})
}

// send writes a sequence for the terminal.
func (p *painter) send(sequence string) {
	p.want(func(now *picture) bool { now.raw += sequence; return true })
}

// resize is called with the terminal's size when that has changed, and is followed by a view of that size.
func (p *painter) resize(w, h int) {
	p.want(func(now *picture) bool { now.w, now.h, now.erase = w, h, true; return false })
}

// learn takes in what the terminal answers about its modes.
func (p *painter) learn(m tea.ModeReportMsg) {
	p.want(func(now *picture) bool {
		switch {
		case m.Mode == ansi.ModeSynchronizedOutput:
			now.synced = m.Value == ansi.ModeReset
		case m.Mode == ansi.ModeUnicodeCore && !m.Value.IsNotRecognized() && m.Value != ansi.ModePermanentlyReset && now.widths != ansi.GraphemeWidth:
			now.widths, now.erase = ansi.GraphemeWidth, true
		}
		return now.erase
	})
}

// want changes what is wanted, and where change says so has it painted.
func (p *painter) want(change func(*picture) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if change(&p.wanted) && !p.due && !p.away {
		p.due = true
		time.AfterFunc(time.Until(p.next), p.paint)
	}
}

// enter takes the terminal back after leave.
func (p *painter) enter() {
	p.want(func(*picture) bool { p.away = false; return true })
}

// leave gives the terminal back as it was, and writes nothing until enter.
func (p *painter) leave() {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	p.away = true
	raw := p.wanted.raw
	if p.entered {
		p.wanted.raw = ""
	}
	p.mu.Unlock()
	if p.entered {
		p.entered = false
		_, _ = io.WriteString(p.out, raw+leaving(p.shown))
	}
}

// paint writes what differs from what was shown. Whoever cannot write to the terminal has lost it, and is told by a signal.
func (p *painter) paint() {
	p.writing.Lock()
	defer p.writing.Unlock()
	defer func() {
		if crash := caught(recover()); crash != nil {
			p.onCrash(crash)
		}
	}()
	p.mu.Lock()
	p.due = false
	want := p.wanted
	if p.away || want.w <= 0 || want.h <= 0 {
		p.mu.Unlock()
		return
	}
	p.wanted.raw, p.wanted.erase, p.next = "", false, time.Now().Add(paintEvery)
	p.mu.Unlock()

	p.buf.Reset()
	if !p.entered {
		p.entered, want.erase, p.shown = true, true, picture{}
		p.buf.WriteString(entering(want))
		p.screen = uv.NewTerminalRenderer(&p.buf, p.env)
		p.screen.SetColorProfile(p.profile)
		p.screen.SetFullscreen(true)
		p.screen.SetScrollOptim(runtime.GOOS != "windows") // where scrolling within margins is not reliable
	}
	if want.widths != p.shown.widths {
		p.buf.WriteString(ansi.SetModeUnicodeCore)
	}
	p.buf.WriteString(want.raw)
	if want.WindowTitle != p.shown.WindowTitle {
		p.buf.WriteString(ansi.SetWindowTitle(want.WindowTitle))
	}
	if was, is := progress(p.shown.ProgressBar), progress(want.ProgressBar); was != is {
		p.buf.WriteString(is)
	}
	p.draw(want)
	p.shown = want
	if p.buf.Len() > 0 {
		_, _ = p.out.Write(p.buf.Bytes())
	}
}

// draw brings the lines that have changed to the screen, cut at its width.
func (p *painter) draw(want picture) {
	if want.erase || want.w != p.shown.w || want.h != p.shown.h {
		p.lines, p.cells = make([]string, want.h), uv.NewScreenBuffer(want.w, want.h)
		p.screen.Resize(want.w, want.h)
		p.screen.Erase()
		p.buf.WriteString(ansi.SetTopBottomMargins(0, 0)) // those of another size may have come after the terminal had this one
	}
	p.cells.Method = want.widths
	lines := strings.Split(want.Content, "\n")
	for y := range p.lines {
		line := ""
		if y < len(lines) {
			line = lines[y]
		}
		if line != p.lines[y] {
			uv.NewStyledString(line).Draw(p.cells, uv.Rect(0, y, want.w, 1))
			p.lines[y] = line
		}
	}
	if p.screen.Render(p.cells.RenderBuffer); p.screen.Buffered() == 0 {
		return
	}
	if want.synced {
		p.buf.WriteString(ansi.SetModeSynchronizedOutput)
		defer p.buf.WriteString(ansi.ResetModeSynchronizedOutput)
	}
	_ = p.screen.Flush() // into buf
}
