package test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDemoTour presses the keys of demo.tape in tmux, and resizes the terminal all the while.
func TestDemoTour(t *testing.T) {
	t.Parallel()
	demos := readDemos(t)
	p := newPane(t, 120, 40, t.TempDir(), afterADemo(t, 1, 2), binary(t), "demo", "--machines", "2", "--counters", "300", "--bake", "2")
	for _, c := range demos[0].keys {
		if c.text == "D Deploy" {
			storm(p)
		}
		c.play(p)
	}
	code, text := p.exited()
	for _, part := range []string{"counter 2.0.0: succeeded, 2 of 2 machines run it", "300 of 300 states migrated", " 0 failed,"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in the scrollback\n%s", part, text)
		}
	}
	if code != 0 {
		t.Errorf("exit %d", code)
	}
}

// TestDemoTourOfABadUpgrade presses the keys of the tape's second demo: the plan stops an upgrade, and a canary is taken back.
func TestDemoTourOfABadUpgrade(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("make soak plays it")
	}
	t.Parallel()
	second := readDemos(t)[1]
	p := newPane(t, 120, 40, t.TempDir(), afterADemo(t, 1, 4), append([]string{binary(t), "demo", "--machines", "2", "--counters", "300"}, second.options...)...)
	for _, c := range second.keys {
		c.play(p)
	}
	code, text := p.exited()
	for _, part := range []string{"counter 4.0.0: unhealthy, 0 of 2 machines run it, 1 runs 1.0.0 as before, 1 runs 1.0.0 again", "was taken back from 1 machine"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in the scrollback\n%s", part, text)
		}
	}
	if code != 6 { // unhealthy
		t.Errorf("exit %d", code)
	}
}

// tapeDemo is what the tape shows of one demo.
type tapeDemo struct {
	options []string
	keys    []tapeCommand
}

// readDemos gives the two demos of the tape.
func readDemos(t *testing.T) []tapeDemo {
	t.Helper()
	var all []tapeDemo
	for _, c := range readTape(t) {
		if options, is := strings.CutPrefix(c.text, "make demo"); is {
			options = strings.Trim(strings.TrimPrefix(options, " ARGS="), "'")
			all = append(all, tapeDemo{options: strings.Fields(options)})
			continue
		}
		if len(all) == 0 {
			t.Fatal("the tape does not begin with make demo")
		}
		all[len(all)-1].keys = append(all[len(all)-1].keys, c)
	}
	if len(all) != 2 {
		t.Fatalf("%d demos", len(all))
	}
	for i := range all {
		all[i].keys = all[i].keys[1:] // enter, after the command
	}
	return all
}

// tapeCommand is one line of a tape that does something: https://github.com/charmbracelet/vhs#vhs-command-reference
type tapeCommand struct{ name, text string }

func readTape(t *testing.T) []tapeCommand {
	t.Helper()
	tape, err := os.ReadFile("../demo.tape")
	if err != nil {
		t.Fatal(err)
	}
	var all []tapeCommand
	wait := regexp.MustCompile(`^Wait\+Screen@\d+s /(.+)/$`)
	for line := range strings.Lines(string(tape)) {
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case slices.Contains([]string{"Output", "Require", "Set", "Sleep"}, name):
		case slices.Contains([]string{"Enter", "Escape", "Space", "Down", "Tab"}, name) && rest == "":
			all = append(all, tapeCommand{name: name})
		case name == "Type":
			text, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			all = append(all, tapeCommand{"Type", text})
		case wait.MatchString(line):
			all = append(all, tapeCommand{"Wait", wait.FindStringSubmatch(line)[1]})
		default:
			t.Fatalf("the test does not know what %q does", line)
		}
	}
	return all
}

func (c tapeCommand) play(p *pane) {
	p.t.Helper()
	switch c.name {
	case "Type":
		p.keys("-l", c.text)
	case "Wait":
		p.until(c.text)
	default:
		p.keys(c.name)
	}
}

// storm resizes the terminal many times, then checks that the screen fits again.
func storm(p *pane) {
	p.t.Helper()
	for i := range 60 {
		p.tmux("resize-window", "-x", strconv.Itoa(10+i*37%190), "-y", strconv.Itoa(2+i*23%58))
	}
	for _, size := range [][2]int{{1, 1}, {60, 16}, {200, 60}, {80, 24}, {120, 40}} {
		p.tmux("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
		if size[0] < 60 {
			continue
		}
		p.untilIs(fmt.Sprintf("the screen at %dx%d", size[0], size[1]), func(screen string) bool {
			rows := strings.Split(strings.TrimRight(screen, "\n"), "\n")
			return len(rows) == size[1] && strings.HasPrefix(rows[0], " flydeploy counter") && strings.TrimSpace(rows[len(rows)-1]) != ""
		})
	}
}
