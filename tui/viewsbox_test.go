package tui

import (
	"os"
	"testing"

	tea "charm.land/bubbletea/v2"

	"flydeploy/tui/tuitest"
	"flydeploy/tui/views"
)

func keeping(t *testing.T, kept ...views.View) views.Store {
	s := views.Of(t.TempDir(), "counter")
	for _, v := range kept {
		if err := s.Save(v); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// command types into the palette, runs what is found first, and takes in what that brings.
func (b *bench) command(words string) {
	b.keys(":")
	b.types(words)
	if msg := b.do("enter"); msg != nil {
		b.send(msg)
	}
}

func TestViewsScreen(t *testing.T) {
	everySize(t, Options{Views: keeping(t, views.View{Name: "Web in ams", Filter: "region:ams group:web"}, views.View{Name: "東京", Filter: "東京"},
		views.View{Name: "all that is not well, wherever it may be ", Filter: "!started 2/2 region:ams,arn,bog,bom,cdg,den,dfw,ewr,eze,fra,gdl,gig,gru,hkg,iad,jnb,lax,lhr,maa,mad"})}, func(b *bench) {
		b.sees(6)
		b.command("views")
		b.golden()
	})
}

// A filter is kept by its name, found again in the palette and in the list, also by another console, and deleted after a question.
func TestFiltersAreKeptAndShownAgain(t *testing.T) {
	store := keeping(t)
	b := newBench(t, size{80, 24}, Options{Views: store})
	b.sees(6)
	b.command("view save Ams")
	b.shows("There is no filter to keep: / sets one")
	b.pass(noticeStays * 2)
	b.keys("/")
	b.types("region:ams started")
	b.shows("whole names, with commas")
	b.keys("enter")
	b.hides("148e00036c3dde")
	b.command("view save")
	b.shows("Type :view save and a name")
	b.keys(":")
	b.types("view save Ams")
	b.shows("▸ view save Ams")
	b.keys("esc")
	b.command("view save Ams")
	b.shows("Kept / region:ams started as Ams")
	b.keys("esc")
	b.shows("148e00036c3dde")

	other := newBench(t, size{80, 24}, Options{Views: store})
	other.sees(6)
	other.send(other.viewsWork("", nil)())
	other.command("view ams")
	other.shows("/ region:ams started", "3d8d9a2c660118")
	other.hides("148e00036c3dde")
	other.keys("/")
	other.types(" x")
	other.keys("enter")
	other.command("view save second")

	b.pass(noticeStays * 2)
	b.command("views")
	b.shows("▸ Ams", "second", "/ region:ams started x")
	b.keys("down", "x")
	b.shows("Delete a view", "▸[ c Cancel ]")
	b.keys("enter")
	if all, _ := store.List(); len(all) != 2 {
		t.Fatal("enter alone deletes it")
	}
	b.keys("x")
	b.send(b.do("d"))
	b.shows("Deleted the view second")
	b.hides("▸ second")
	b.keys("enter")
	b.shows("/ region:ams started")
	b.hides("Views", "148e00036c3dde")
	if all, _ := store.List(); len(all) != 1 || all[0] != (views.View{Name: "Ams", Filter: "region:ams started"}) {
		t.Errorf("%v", all)
	}
}

func TestViewsAreClicked(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Views: keeping(t, views.View{Name: "a", Filter: "ams"}, views.View{Name: "b", Filter: "iad"})})
	b.sees(6)
	b.command("views")
	b.clicks("b      ")
	b.shows("▸ b")
	b.clicks("b      ")
	b.shows("/ iad")
	if b.views != nil {
		t.Error("the list is still open")
	}
	b.command("views")
	b.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	b.shows("▸ b")
	b.keys("esc")
	b.shows("/ iad")
}

func TestViewsThatCannotBeReadOrKeptSaySo(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, size{120, 40}, Options{Views: views.Of(file, "counter")})
	b.sees(6)
	b.command("views")
	b.shows("Views: read the views:")
	b.keys("esc", "/")
	b.types("ams")
	b.keys("enter")
	b.command("view save a")
	b.shows("Views: keep the view:")
	b = newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys(":")
	b.types("view")
	b.hides("views: filters")
}

func TestHostileViews(t *testing.T) {
	for _, s := range sizes {
		b := newBench(t, s, Options{Views: keeping(t)})
		b.sees(6)
		b.openViews()
		b.send(viewsMsg{all: []views.View{{Name: tuitest.Hostile, Filter: tuitest.Hostile}}, said: tuitest.Hostile})
		tuitest.CheckHarmless(t, "the views", b.text())
		b.keys("x")
		tuitest.CheckHarmless(t, "the question", b.text())
	}
}
