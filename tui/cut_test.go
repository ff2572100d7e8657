package tui

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// longScreens have more to show than a low terminal has room for.
var longScreens = map[string]func(*bench){
	"fleet":    func(b *bench) { b.sees(40) },
	"filtered": func(b *bench) { b.sees(40); b.keys("/"); b.types("long"); b.keys("enter") },
	"scrolled": func(b *bench) { b.sees(40); b.keys("pgdown", "pgdown") },
	"machine":  func(b *bench) { b.send(inspectedMsg{overview: tuitest.InspectedOverview()}); b.keys("enter") },
	"record": func(b *bench) {
		b.records()
		b.send(historyMsg{of: b.past, past: slices.Repeat(tuitest.PastDeploys(), 8)})
	},
	"apps": func(b *bench) {
		b.opts.Apps = noApps
		b.openApps()
		b.send(appsMsg{of: b.apps, apps: slices.Repeat(someApps(), 12)})
	},
	"doctor":  func(b *bench) { b.sees(6); b.runs("doctor") },
	"help":    func(b *bench) { b.sees(6); b.keys("?", "tab") },
	"palette": func(b *bench) { b.sees(6); b.keys(":") },
	"plan":    func(b *bench) { b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil) },
	"modules": func(b *bench) {
		before, _, _ := tuitest.Upgraded(6)
		b.deploys(before, nil)
		b.keys("m", "enter", "down", "enter", "down", "enter")
	},
	"board":    func(b *bench) { b.commits(40) },
	"details":  func(b *bench) { b.fails(); b.keys("enter") },
	"beside":   func(b *bench) { b.fails() },
	"timeline": func(b *bench) { b.commits(40); b.keys("t") },
	"map":      func(b *bench) { b.commits(400); b.keys("F") },
	"log":      func(b *bench) { b.commits(6); b.keys("L") },
	"replay":   func(b *bench) { b.replays(thoughtful()); b.keys("e") },
}

func (b *bench) commits(n int) {
	before, after, _ := tuitest.Upgraded(n)
	b.deploys(append(before, after[:len(after)/2]...), nil)
}

func (b *bench) fails() {
	before, after, end := tuitest.RolledBack(6)
	b.deploys(before, nil)
	b.hears(after, &end)
}

// goesOn is what says that there is more: which part is shown, or how many lines are left.
var goesOn = regexp.MustCompile(`\d+–\d+ of [\d,]+|\d+ more line|last \d+ lines? ↑|[↑↓] `)

// TestNoPaneIsCutWithoutASign compares a screen with what the same has on a tall terminal: where rows have no room, each pane that goes
// on says so.
func TestNoPaneIsCutWithoutASign(t *testing.T) {
	for name, show := range longScreens {
		for _, s := range sizes[:3] {
			t.Run(name+" "+s.String(), func(t *testing.T) {
				b := newBench(t, s, Options{})
				show(b)
				b.pass(noticeStays + time.Second)
				low := strings.Split(b.text(), "\n")
				b.send(tea.WindowSizeMsg{Width: s.w, Height: 300})
				tall := strings.Split(b.text(), "\n")
				var signs, lost int
				for _, row := range low[:len(low)-1] { // the last row has keys, and their arrows
					signs += len(goesOn.FindAllString(row, -1))
				}
				for _, row := range tall[1 : len(tall)-1] {
					for _, pane := range strings.Split(row, "│") {
						if pane = strings.Trim(pane, " ▸─"); strings.ContainsAny(pane, "abcdefghijklmnopqrstuvwxyz") && !goesOn.MatchString(pane) && !strings.Contains(strings.Join(low, "\n"), pane) {
							lost++
						}
					}
				}
				if lost > 0 && signs == 0 {
					t.Errorf("%d rows are not on the screen, which does not say so\n%s", lost, strings.Join(low, "\n"))
				}
			})
		}
	}
}
