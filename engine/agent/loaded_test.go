package agent

import (
	"errors"
	"slices"
	"testing"
)

// The fingerprint is of the code that is loaded; what lies on disk beside it is drift.
func TestLoadedTellsTheCodeOfARunningVM(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	first, err := Loaded(t.Context(), n.realExec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Fingerprint) != 32 || first.Modules < 5 || first.DriftedTotal != 0 || first.Hook.State != HookAbsent || first.Version != "" {
		t.Errorf("as it started: %+v", first)
	}
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
	vm := n.vm
	vm.Start = "1"
	if _, err := Loaded(t.Context(), n.realExec, vm); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
}
