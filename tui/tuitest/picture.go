package tuitest

import (
	"fmt"
	"image/color"
	"maps"
	"slices"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/vt"
)

// The size of a cell in a picture, in its units, and the letters in it.
const (
	cellW, cellH = 8.4, 17.0
	fontSize     = 14
	margin       = 10.0
	baseline     = 12.8 // below a cell's top
)

// Picture draws what a terminal of w × h cells shows after it was sent content, as SVG. Lines and blocks are shapes, so that they meet
// whatever font is there; letters are stretched to their cells.
func Picture(content string, w, h int, dark bool) string {
	screen := vt.NewEmulator(w, h)
	defer screen.Close()
	_, _ = screen.WriteString(strings.ReplaceAll(content, "\n", "\r\n"))
	p := picture{text: "#1f2328", back: "#ffffff", shapes: map[string]*strings.Builder{}}
	if dark {
		p.text, p.back = "#e6edf3", "#0d1117"
	}
	for y := range h {
		p.row(screen, y, w)
	}
	width, height := float64(w)*cellW+2*margin, float64(h)*cellH+2*margin
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %.1f" width="%.0f" height="%.0f">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="6" fill="%s"/>`+"\n", p.back)
	for _, attributes := range slices.Sorted(maps.Keys(p.shapes)) {
		fmt.Fprintf(&out, `<path %s d="%s"/>`+"\n", attributes, p.shapes[attributes])
	}
	fmt.Fprintf(&out, `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="%d">`+"\n%s</g>\n</svg>\n", fontSize, p.words.String())
	return out.String()
}

type picture struct {
	text, back string
	shapes     map[string]*strings.Builder // paths, by their attributes; those of backgrounds come first
	words      strings.Builder
}

// look is how a cell is drawn.
type look struct {
	fill, back string
	bold       bool
}

func (p *picture) look(s uv.Style) look {
	l := look{fill: hex(s.Fg, p.text), back: hex(s.Bg, p.back), bold: s.Attrs&uv.AttrBold != 0}
	if s.Attrs&uv.AttrReverse != 0 {
		l.fill, l.back = l.back, l.fill
	}
	return l
}

func hex(c color.Color, otherwise string) string {
	if c == nil {
		return otherwise
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

func (p *picture) row(screen *vt.Emulator, y, w int) {
	top := margin + float64(y)*cellH
	for x := 0; x < w; {
		cell := screen.CellAt(x, y)
		l, left := p.look(cell.Style), margin+float64(x)*cellW
		if l.back != p.back {
			p.block("1 "+l.back, left, top, float64(max(cell.Width, 1))*cellW, cellH)
		}
		if p.shape(cell.Content, l.fill, left, top) {
			x++
			continue
		}
		run, cells := "", 0
		for from := x; x < w; x += max(cell.Width, 1) {
			cell = screen.CellAt(x, y)
			spaces := cell.Content == " " && strings.HasSuffix(run, " ") // several of them would become one
			if p.look(cell.Style) != l || isShape(cell.Content) || x > from && (cell.Width > 1 || spaces) {
				break
			}
			if l.back != p.back && x > from {
				p.block("1 "+l.back, margin+float64(x)*cellW, top, cellW, cellH)
			}
			run += cell.Content
			cells += max(cell.Width, 1)
			if cell.Width > 1 {
				x += cell.Width
				break
			}
		}
		p.write(run, l, left, top, cells)
	}
}

// write puts words into their cells.
func (p *picture) write(run string, l look, left, top float64, cells int) {
	words := strings.TrimRight(run, " ")
	cells -= len(run) - len(words)
	trimmed := strings.TrimLeft(words, " ")
	indent := len(words) - len(trimmed)
	if cells -= indent; cells <= 0 {
		return
	}
	bold := ""
	if l.bold {
		bold = ` font-weight="bold"`
	}
	fmt.Fprintf(&p.words, `<text x="%.1f" y="%.1f" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
		left+float64(indent)*cellW, top+baseline, float64(cells)*cellW, l.fill, bold, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(trimmed))
}

// arms tell in which directions a line leaves the middle of its cell.
var arms = map[string]string{
	"─": "lr", "│": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu", "├": "udr", "┤": "udl", "┼": "udlr", "╵": "u", "╎": "ud",
}

// blocks tell which part of a cell is filled: from the left, from the bottom; and shades how much of it is.
var (
	fromLeft   = []rune("▏▎▍▌▋▊▉█")
	fromBottom = []rune("▁▂▃▄▅▆▇")
	shades     = []rune("░▒▓")
)

func isShape(content string) bool {
	r := []rune(content)
	return arms[content] != "" || len(r) == 1 && (slices.Contains(fromLeft, r[0]) || slices.Contains(fromBottom, r[0]) || slices.Contains(shades, r[0]))
}

// shape draws a line or a block, and reports whether it is one.
func (p *picture) shape(content, fill string, x, y float64) bool {
	if !isShape(content) {
		return false
	}
	if to := arms[content]; to != "" {
		p.line(content, to, fill, x, y)
		return true
	}
	r := []rune(content)[0]
	if i := slices.Index(fromLeft, r); i >= 0 {
		p.block("2 "+fill, x, y, cellW*float64(i+1)/8, cellH)
	} else if i := slices.Index(fromBottom, r); i >= 0 {
		high := cellH * float64(i+1) / 8
		p.block("2 "+fill, x, y+cellH-high, cellW, high)
	} else {
		p.block(fmt.Sprintf("2 %s\" fill-opacity=\"0.%d", fill, []int{25, 45, 70}[slices.Index(shades, r)]), x, y, cellW, cellH)
	}
	return true
}

func (p *picture) block(layer string, x, y, w, h float64) {
	fmt.Fprintf(p.path(layer[:1], `fill="`+layer[2:]+`"`), "M%.2f %.2fh%.2fv%.2fh-%.2fz", x, y, w, h, w)
}

func (p *picture) line(content, to, fill string, x, y float64) {
	dash := ""
	if content == "╎" {
		dash = ` stroke-dasharray="3 2.6"`
	}
	path := p.path("3", `fill="none" stroke="`+fill+`"`+dash)
	ends := map[rune][2]float64{'l': {-cellW / 2, 0}, 'r': {cellW / 2, 0}, 'u': {0, -cellH / 2}, 'd': {0, cellH / 2}}
	for _, arm := range to {
		fmt.Fprintf(path, "M%.1f %.1fl%.1f %.1f", x+cellW/2, y+cellH/2, ends[arm][0], ends[arm][1])
	}
}

// path is the one of these attributes; layers are drawn in their order.
func (p *picture) path(layer, attributes string) *strings.Builder {
	key := `class="` + layer + `" ` + attributes
	if p.shapes[key] == nil {
		p.shapes[key] = &strings.Builder{}
	}
	return p.shapes[key]
}
