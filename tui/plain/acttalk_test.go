package plain_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// acting is a conversation whose acts note down what they would have done, and a way to choose from its menus.
func acting(t *testing.T, acts plain.Acts) (w *talk, chooses func(word string)) {
	o := talkative()
	o.Acts = acts
	o.Backend.(*tuitest.Backend).OnOverview = func(context.Context) (engine.Overview, error) { return fleetOf(6), nil }
	w = talkTo(t.Context(), t, o)
	menus := 0
	return w, func(word string) {
		t.Helper()
		menus++
		w.hears(menus, "Choice (1 to ")
		w.says(word)
	}
}

// Only the app's typed name withdraws or releases, and only a second number freezes: what is asked about is told before.
func TestAccessibleActs(t *testing.T) {
	var made []string
	w, chooses := acting(t, tuitest.ActsOf(func(what string) { made = append(made, what) }))
	nothing := func() {
		t.Helper()
		if len(made) > 0 {
			t.Fatalf("made before anybody agreed: %q", made)
		}
	}
	chooses("doctor")
	chooses("withdraw")
	w.hears(1, "gives no reason:")
	w.says("it crashes at boot")
	w.hears(1, "Type counter to withdraw it")
	w.says("Counter")
	chooses("release")
	w.hears(1, "Type counter to release it")
	w.says("")
	chooses("freeze")
	w.hears(1, "Why nobody may deploy")
	w.says("")
	chooses("freeze")
	w.hears(2, "Why nobody may deploy")
	w.says("Black Friday")
	w.hears(1, "means an hour:")
	w.says("2h")
	chooses("cancel")
	w.hears(3, "Nothing was changed.")
	nothing()
	chooses("withdraw")
	w.hears(2, "gives no reason:")
	w.says("it crashes at boot")
	w.hears(2, "Type counter to withdraw it")
	w.says("counter")
	chooses("release")
	w.hears(2, "Type counter to release it")
	w.says("counter")
	chooses("freeze")
	w.hears(3, "Why nobody may deploy")
	w.says("Black Friday")
	w.hears(2, "means an hour:")
	w.says("2h")
	chooses("freeze")
	chooses("quit")
	w.over()
	if want := []string{"withdrawn: hot upgrade 0.1.1. it crashes at boot", "released the lock of bob@ci-7 (deploy 01K93P)", "deploys are frozen until 2h: Black Friday"}; !slices.Equal(made, want) {
		t.Errorf("made %q", made)
	}
	golden.RequireEqual(t, w.text())
}

// What fails, or is nothing, is told, and the menu comes again; without an answer nothing is changed.
func TestAccessibleActsThatCannotBe(t *testing.T) {
	var made []string
	acts := tuitest.ActsOf(func(what string) { made = append(made, what) })
	acts.Release = func(context.Context) (plain.Change, error) {
		return plain.Change{Question: "the deploy lock is free"}, nil
	}
	acts.Freeze = func(context.Context, string, string) (plain.Change, error) {
		return plain.Change{}, engine.NewProblem("freeze", "the end is a time such as 18:00, not \"soon\"", nil, "")
	}
	w, chooses := acting(t, acts)
	chooses("release")
	w.hears(1, "the deploy lock is free\n")
	chooses("freeze")
	w.hears(1, "Why nobody may deploy")
	w.says("Black Friday")
	w.hears(1, "means an hour:")
	w.says("soon")
	w.hears(1, "not \"soon\"")
	chooses("withdraw")
	w.hears(1, "gives no reason:")
	w.says("")
	w.hears(1, "Type counter to withdraw it")
	_ = w.typed.Close()
	w.over()
	if len(made) > 0 || strings.Contains(w.text(), "Nothing was changed") {
		t.Errorf("made %q\n%s", made, w.text())
	}
}

// A read-only console has no acts that change anything.
func TestRule15AccessibleHasNoActs(t *testing.T) {
	w, chooses := acting(t, plain.Acts{Doctor: tuitest.ActsOf(nil).Doctor})
	for i, word := range []string{"withdraw", "release", "freeze"} {
		chooses(word)
		w.hears(i+1, "Please type a number from 1 to 8")
	}
	chooses("quit")
	w.over()
}
