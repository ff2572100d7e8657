package tui

import (
	"slices"
	"strings"
	"testing"

	"charm.land/bubbles/v2/key"

	"flydeploy/tui/tuitest"
)

func TestRebindingsThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		keys Keys
		why  string // "": it can be
	}{
		"nothing":                    {nil, ""},
		"another letter":             {Keys{"deploy": {"u"}, "mark": {"m"}}, ""},
		"ctrl and alt":               {Keys{"look": {"ctrl-l"}, "record": {"alt-h", "f5"}}, ""},
		"two letters change places":  {Keys{"deploy": {"r"}, "record": {"d"}}, ""},
		"what it has anyway":         {Keys{"details": {"enter"}, "page_down": {"pgdn", "ctrl-d"}}, ""},
		"an unknown action":          {Keys{"dploy": {"u"}}, "there is no action dploy"},
		"no key":                     {Keys{"deploy": {}}, "deploy has no key"},
		"an unknown key":             {Keys{"deploy": {"hyper-u"}}, `deploy cannot be "hyper-u": no key is called so`},
		"shift and a letter":         {Keys{"deploy": {"shift+u"}}, "no key is called so"},
		"ctrl-c":                     {Keys{"quit": {"ctrl-c"}}, "always"},
		"what terminals take as tab": {Keys{"quit": {"ctrl-i"}}, "tab"},
		"enter":                      {Keys{"deploy": {"enter"}}, "its own meaning"},
		"an arrow":                   {Keys{"deploy": {"up"}}, "its own meaning"},
		"scrolling deploys":          {Keys{"mark": {"m"}, "confirm": {"space"}}, "scroll"},
		"two actions of the fleet":   {Keys{"deploy": {"i"}}, "a dialog"},
		"a conflict on the fleet":    {Keys{"deploy": {"r"}}, "r is both deploy and record on the fleet's screen"},
		"one that is everywhere":     {Keys{"hold": {"q"}}, "q is both hold and quit on a deploy's screen"},
		"both chosen":                {Keys{"hold": {"w"}, "promote": {"w"}}, "w is both hold and promote on a deploy's screen"},
		"of different screens":       {Keys{"all_machines": {"p"}}, ""},
		"a letter that sorts":        {Keys{"deploy": {"S"}}, "S sorts by state on the fleet's screen"},
		"one key that goes on":       {Keys{"deploy": {"D"}}, "D is both deploy and confirm"},
		"pressed twice it stops":     {Keys{"back": {"x"}}, "it may open a dialog in which this key answers"},
		"pressed twice it confirms":  {Keys{"copy": {"Y"}, "confirm_trial": {"y"}}, "it may open a dialog in which this key answers"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := test.keys.Check()
			if test.why == "" && len(wrong) == 0 {
				return
			}
			if len(wrong) == 0 || test.why == "" || !strings.Contains(wrong[0].Why, test.why) || test.keys[wrong[0].Action] == nil {
				t.Errorf("%+v, want %q", wrong, test.why)
			}
		})
	}
}

func TestEveryActionHasANameInTheHelp(t *testing.T) {
	k := allKeys()
	named := k.named()
	inHelp := map[string]bool{}
	for _, g := range k.groups() {
		for _, b := range g.keys {
			inHelp[b.name] = true
			if b.name == "" && b.Help().Key != "ctrl-c" && b.Help().Key != "tab" && !strings.HasPrefix(b.Help().Desc, "sort by") {
				t.Errorf("%s (%s) has no name", b.Help().Key, b.Help().Desc)
			}
			if len(b.name) > helpName {
				t.Errorf("%s does not fit", b.name)
			}
		}
	}
	for name, b := range named {
		if !inHelp[name] {
			t.Errorf("the help does not name %s (%s)", name, b.Help().Desc)
		}
	}
	for name := range namedKeys {
		if k, is := pressNamed(name); !is || k.String() != name {
			t.Errorf("%s is pressed as %s", name, k.String())
		}
	}
}

// What is pressed instead stands in hints, help and palette, and does it; the old letter does nothing; keys with names go on to work.
func TestReboundKeys(t *testing.T) {
	keys := Keys{"deploy": {"u"}, "filter": {"ctrl-f"}, "page_down": {"ctrl-d"}, "back": {"w", "W"}, "down": {"n"}, "confirm": {"U"}, "only_errors": {"E"}}
	if wrong := keys.Check(); wrong != nil {
		t.Fatal(wrong)
	}
	b := newBench(t, size{120, 40}, Options{Keys: keys, Logs: &tuitest.Logs{}})
	b.sees(6)
	b.shows("u deploy all", "ctrl-f filter")
	b.hides("d deploy", " / filter")
	at := b.fleet.list.At
	b.keys("n")
	if b.fleet.list.At != at+1 {
		t.Error("n does not move down")
	}
	b.keys("down", "j") // which is no letter of it any more
	if b.fleet.list.At != at+2 {
		t.Errorf("the cursor is at %d, from %d", b.fleet.list.At, at)
	}
	b.keys("d")
	if b.sheet != nil {
		t.Fatal("d still opens the sheet")
	}
	b.keys("?")
	b.shows("u            deploy", "w W          back", "↓ n          down")
	b.keys("tab", "tab")
	b.shows("mark_range", "confirm_trial")
	b.golden()
	b.keys("esc", ":")
	b.types("deploy")
	b.shows("deploy", " u ")
	b.keys("esc")
	press, is := hintAt(b.screen()[b.h-1], 2)
	if !is || press.String() != "u" {
		t.Errorf("a click on the first hint presses %q", press.String())
	}
	b.keys("u")
	b.shows("begin")
	if b.sheet == nil {
		t.Fatal("u opens no sheet")
	}
	b.keys("esc", "l", "E")
	b.send(outputMsg{next: "1"})
	b.shows("E shows all", "E all lines")
	b.keys("w")
	b.shows("STATE")

	before, _, _ := tuitest.Upgraded(6)
	b = newBench(t, size{120, 40}, Options{Keys: keys})
	p := b.deploys(before, nil)
	b.shows("U Deploy", "U deploy as planned")
	b.keys("D")
	if len(p.Given()) != 0 {
		t.Fatal("D still confirms")
	}
	b.keys("U")
	if len(p.Given()) != 1 {
		t.Fatal("U does not confirm")
	}
}

// A key that the default map has twice on one screen means there what it always meant.
func TestTheDefaultKeysHaveNoConflicts(t *testing.T) {
	k := allKeys()
	for _, screen := range k.together() {
		for i, a := range screen.keys {
			for _, b := range screen.keys[:i] {
				shared := inBoth(*a, *b)
				if a != b && shared != "" && !slices.Contains([]string{"right", "left", "h", "l", "f"}, shared) {
					t.Errorf("%s is %q and %q %s", shared, a.Help().Desc, b.Help().Desc, screen.where)
				}
			}
			if slices.ContainsFunc(screen.sorts, func(s key.Binding) bool { return inBoth(*a, s) != "" }) {
				t.Errorf("%q and a sort share a key %s", a.Help().Desc, screen.where)
			}
		}
	}
}
