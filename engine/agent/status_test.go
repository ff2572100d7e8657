package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func statusJSON(changes ...string) string {
	text := `{"v":1,"id":"ID","boot":"1-2","seq":3,"state":"staged","expires_in_ms":4,"phases":[{"name":"reload","at_us":1,"us":2,"status":"done"}]}`
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			panic(changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

func TestStatusIsReadStrictly(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"valid", statusJSON(), nil},
		{"unknown field", statusJSON(`"v":1`, `"v":1,"later":{}`), nil},
		{"not JSON", "gibberish", errBadStatus},
		{"cut", statusJSON()[:40], errBadStatus},
		{"two values", statusJSON() + "{}", errBadStatus},
		{"another version", statusJSON(`"v":1`, `"v":2`), errBadStatus},
		{"another upgrade", statusJSON(`"ID"`, `"OTHER"`), errBadStatus},
		{"another boot", statusJSON(`"1-2"`, `"1-3"`), ErrGone},
		{"unknown state", statusJSON(`"staged"`, `"dancing"`), errBadStatus},
		{"no state", statusJSON(`"staged"`, `""`), errBadStatus},
		{"negative seq", statusJSON(`"seq":3`, `"seq":-3`), errBadStatus},
		{"negative time", statusJSON(`"us":2`, `"us":2},{"name":"x","at_us":-1`), errBadStatus},
		{"number as text", statusJSON(`"seq":3`, `"seq":"3"`), errBadStatus},
		{"long list", statusJSON(`"phases":[`, `"phases":[`+strings.Repeat("{},", maxList)), errBadStatus},
		{"too large", statusJSON(`"v":1`, `"v":1,"x":"`+strings.Repeat("x", maxStatus)+`"`), errBadStatus},
	} {
		if _, err := parseStatus(test.text, "ID", "1-2"); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestEveryTextOfAStatusIsPrintable(t *testing.T) {
	evil := `\u001b]0;title\u0007\u202etxt\n\u009b31m` + strings.Repeat("x", 600)
	text := strings.ReplaceAll(`{"v":1,"id":"ID","boot":"1-2","seq":3,"state":"failed","owner":"E","phases":[{"name":"E","status":"E"}],
		"modules":[{"module":"E","app":"E","change":"E"}],"processes":[{"module":"E","kind":"E"}],
		"findings":[{"name":"E","severity":"E","subject":"E","detail":"E"}],"killed":["E"],"unplaced":["E"],
		"failures":[{"pid":"E","name":"E","module":"E","reason":"E","exception":"E","stack":["E"],"state_before":"E","state_after":"E"}],
		"error":{"name":"E","what":"E"}}`, `"E"`, `"`+evil+`"`)
	status, err := parseStatus(text, "ID", "1-2")
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%+v %+v", status, *status.Error)
	if strings.ContainsAny(all, "\x1b\a\n\u202e\u009b") {
		t.Errorf("control characters in %q", all)
	}
	if strings.Contains(all, strings.Repeat("x", 600)) {
		t.Error("a text is not bounded")
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add(statusJSON())
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseStatus(text, "ID", "1-2"); err == nil && !s.State.Valid() {
			t.Errorf("an invalid state %q", s.State)
		}
	})
}

func TestStatesThatEnd(t *testing.T) {
	for _, s := range []State{Committed, RolledBack, RolledBackWithLosses, Failed, Aborted, Expired, Stale} {
		if !s.Valid() || !s.Terminal() {
			t.Errorf("%s does not end", s)
		}
	}
	for _, s := range []State{Injected, Staging, Staged, Arming, Armed, Committing} {
		if !s.Valid() || s.Terminal() {
			t.Errorf("%s ends", s)
		}
	}
}
