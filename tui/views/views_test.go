package views_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"flydeploy/tui/views"
)

func list(t *testing.T, s views.Store) []views.View {
	t.Helper()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestViewsAreKeptByAppAndName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "views")
	s := views.Of(dir, "shop")
	if all := list(t, s); all != nil {
		t.Errorf("%v", all)
	}
	for _, v := range []views.View{{"Web in ams", "region:ams group:web"}, {" prod ", "!stopped"}, {"東京", "東京"}, {"../../etc/passwd", "x"}, {"PROD", "started"}} {
		if err := s.Save(v); err != nil {
			t.Fatal(err)
		}
	}
	want := []views.View{{"../../etc/passwd", "x"}, {"PROD", "started"}, {"Web in ams", "region:ams group:web"}, {"東京", "東京"}}
	if all := list(t, views.Of(dir, "shop")); !reflect.DeepEqual(all, want) {
		t.Errorf("%v", all)
	}
	for _, name := range []string{"prod", "東京", "../../etc/passwd", "never kept"} {
		if err := s.Delete(name); err != nil {
			t.Error(err)
		}
	}
	if all := list(t, s); len(all) != 1 {
		t.Errorf("%v", all)
	}
	if all := list(t, views.Of(dir, "admin")); all != nil {
		t.Errorf("another app has %v", all)
	}
	if err := views.Of(dir, "..").Save(views.View{Name: "a", Filter: "b"}); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(filepath.Dir(dir)); len(files) != 1 {
		t.Errorf("something lies outside: %v", files)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop", "broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all := list(t, s); len(all) != 1 {
		t.Errorf("beside a broken file: %v", all)
	}
}

func TestViewsThatCannotBeKept(t *testing.T) {
	s := views.Of(t.TempDir(), "shop")
	for says, v := range map[string]views.View{
		"a view needs a name":     {" ", "ams"},
		"at most 40 characters":   {strings.Repeat("ä", 41), "ams"},
		"there is no filter":      {"prod", " "},
		"this filter is too long": {"prod", strings.Repeat("a", 1001)},
	} {
		if err := s.Save(v); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	none := views.Of("", "shop")
	if err := none.Save(views.View{Name: "a", Filter: "b"}); err == nil || none.Keeps() {
		t.Error("it is kept nowhere, without an error")
	}
	if all := list(t, none); all != nil || none.Delete("a") != nil {
		t.Errorf("%v", all)
	}
}

// Many consoles keep and forget views at the same time, and none loses another's.
func TestConsolesThatKeepViewsAtOnceLoseNothing(t *testing.T) {
	dir := t.TempDir()
	var consoles sync.WaitGroup
	for i := range 4 {
		consoles.Go(func() {
			s := views.Of(dir, "shop")
			for n := range 10 {
				passing := views.View{Name: fmt.Sprintf("%d passes", i), Filter: "x"}
				kept := views.View{Name: fmt.Sprintf("%d-%02d", i, n), Filter: fmt.Sprintf("%d of %d", n, i)}
				for _, err := range []error{s.Save(passing), s.Save(views.View{Name: "everybody's", Filter: kept.Filter}), s.Save(kept), s.Delete(passing.Name)} {
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := s.List(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	consoles.Wait()
	all := list(t, views.Of(dir, "shop"))
	if len(all) != 4*10+1 {
		t.Errorf("%d views are left", len(all))
	}
	for _, v := range all {
		if v.Filter == "" {
			t.Errorf("%+v is not whole", v)
		}
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "shop")); len(files) != len(all) {
		t.Errorf("%d files for %d views", len(files), len(all))
	}
}
