package tui

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// pictures are the screens that README.md shows: those of the goldens, in docs/, drawn from what the terminal is sent.
var pictures = map[string]func(*bench){
	"fleet": func(b *bench) {
		b.send(inspectedMsg{overview: tuitest.InspectedOverview()})
		b.keys("space", "down", "space")
		b.pass(noticeStays + idleTick)
	},
	"sheet": func(b *bench) {
		b.sees(6)
		b.send(b.do("d"))
	},
	"plan": func(b *bench) { b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil) },
	"deploy": func(b *bench) {
		before, after, _ := tuitest.Upgraded(6)
		b.deploys(append(before, after[:26]...), nil)
	},
	"failure": func(b *bench) {
		before, after, end := tuitest.RolledBack(6)
		b.deploys(before, nil)
		b.hears(after, &end)
		b.keys("enter")
	},
	"replay": func(b *bench) {
		b.replays(thoughtful())
		b.keys("e")
	},
}

// TestPictures checks that the pictures in docs/ are those of today's screens; go test ./tui -run TestPictures -update draws them anew.
func TestPictures(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	update := flag.Lookup("update").Value.String() == "true"
	known := map[string]bool{}
	for name, show := range pictures {
		for _, theme := range []string{"dark", "light"} {
			b := newBench(t, size{120, 30}, Options{Theme: theme})
			show(b)
			b.fits()
			file := filepath.Join("../docs", name+"-"+theme+".svg")
			known[file] = true
			drawn := tuitest.Picture(b.View().Content, b.w, b.h, theme == "dark")
			if update {
				if err := os.WriteFile(file, []byte(drawn), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(kept) != drawn {
				t.Errorf("%s is not what the console shows today", file)
			}
			if len(drawn) >= 60_000 {
				t.Errorf("%s has %d bytes", file, len(drawn))
			}
			if !strings.Contains(string(readme), strings.TrimPrefix(file, "../")) {
				t.Errorf("README.md does not show %s", file)
			}
		}
	}
	files, err := filepath.Glob("../docs/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[file] {
			t.Errorf("%s is drawn from no screen", file)
		}
	}
}
