package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The fingerprint is of the code that is loaded; what lies on disk beside it is drift, and what was staged before is stale.
func TestLoadedTellsTheCodeOfARunningVM(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	first, err := Loaded(t.Context(), n.realExec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Fingerprint) != 32 || first.Modules < 5 || first.DriftedTotal != 0 || first.Hook.State != HookAbsent || first.Version != "" || first.Memory < 1<<20 || first.Processes < 10 {
		t.Errorf("as it started: %+v", first)
	}
	s, staged := n.stage(2)
	n.eval(`Code.compiler_options(ignore_module_conflict: true)
		Code.eval_string("defmodule Ledger.Audit do\n def another, do: :code\nend")
		IO.puts("done")`)
	second, err := Loaded(t.Context(), n.realExec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	if second.Fingerprint == first.Fingerprint || second.DriftedTotal != 1 || !slices.Equal(second.Drifted, []string{"Ledger.Audit"}) {
		t.Errorf("with another Ledger.Audit: %+v", second)
	}
	if status := n.arm(s, staged); status.State != Stale || status.Error == nil || !strings.Contains(status.Error.What, "Ledger.Audit") {
		t.Errorf("%s %v", status.State, status.Error)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	vm := n.vm
	vm.Start = "1"
	if _, err := Loaded(t.Context(), n.realExec, vm); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
	n.probeWhatIsMissing(t)
}
