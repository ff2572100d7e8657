package agent

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func TestProbeTellsTheFactsOfARunningVM(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	before := n.ownModules()

	f, err := Probe(t.Context(), n.realExec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	if f.OTP == "" || !strings.HasPrefix(f.Elixir, "1.") || !f.Crypto || !f.SSL || f.Hook.State != HookAbsent || f.Poller || f.Agent || len(f.Unwritable) > 0 || f.Skew != 0 {
		t.Errorf("facts: %+v", f)
	}
	if !slices.ContainsFunc(f.Apps, func(a App) bool { return a.Name == "ledger" && a.Version != "" && a.Top }) {
		t.Errorf("applications: %+v", f.Apps)
	}
	if slices.ContainsFunc(f.Apps, func(a App) bool { return a.Name == "stdlib" || a.Name == "elixir" }) {
		t.Errorf("OTP's and Elixir's among the applications: %+v", f.Apps)
	}
	n.readsSettings(t)
	for _, module := range n.ownModules() {
		if !slices.Contains(before, module) { // those of an agent of before may still be leaving
			t.Errorf("the probe left %s", module)
		}
	}
}

// ownModules are the modules of flydeploy that the VM has loaded.
func (n *node) ownModules() []string {
	n.t.Helper()
	return strings.Fields(n.eval(`for {m, _} <- :code.all_loaded(), String.contains?(Atom.to_string(m), "FlyDeploy"), do: IO.puts(m)`))
}

// probeWhatIsMissing takes away, and adds, what the facts tell of: the node is of no use afterwards.
func (n *node) probeWhatIsMissing(t *testing.T) {
	t.Helper()
	n.eval(`:code.delete(:ssl); :code.purge(:ssl); :code.del_path(:ssl); :code.del_path(:public_key)
		:code.delete(:public_key); :code.purge(:public_key)
		Code.eval_string("defmodule FlyDeploy do\n def startup_reapply_current(_), do: :ok\nend")
		spawn(fn -> Process.register(self(), FlyDeploy.Poller); Process.register(spawn(fn -> Process.sleep(:infinity) end), :flydeploy_agent); Process.sleep(:infinity) end)
		IO.puts("done")`)

	f, err := Probe(t.Context(), n.realExec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	if f.SSL || f.Certificates != 0 || f.Hook.State != HookUnknown || !f.Poller || !f.Agent || !f.Crypto {
		t.Errorf("facts: %+v", f)
	}
}

func TestProbeOfAVMThatIsGone(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	vm := n.vm
	vm.Start = "1"
	if _, err := Probe(t.Context(), n.realExec, vm); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
	cut := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		out, err := n.realExec(ctx, command, stdin, timeout)
		out.Stdout = out.Stdout[:len(out.Stdout)/2]
		return out, err
	}
	if _, err := Probe(t.Context(), cut, n.vm); !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("a cut answer: %v", err)
	}
}

func TestFactsOfOldAndHostileVMs(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	f := parseFacts([]string{
		"crypto=true", "ssl=no", "otp=27\x1b[31m", "future=1", "app=shop 1.0", "app=shop 1.0 top", "app=dep 2 needed",
		"unwritable=/app/lib/shop-1.0/ebin", "certificates=many", "", "clock_ms=1700000030000",
		"hook=called", "call=shop failed storage answered 403", "call=door none", "call=",
		"catch_up=after_suspension failed it was rolled\a back",
		"public_key=0123", "public_key=4567", "public_key_wrong=it is set,\a and holds no key", "state_dir=/data", "reads=names",
		"newest_ms=1469918176385", "taken_back_to=00ff\x1b[31m", "undone=child_not_started :cache of Shop (:eaddr\a inuse)",
	}, at, at.Add(time.Second))
	if !f.Crypto || f.SSL || f.OTP != "27" || len(f.Apps) != 2 || f.Certificates != 0 || len(f.Unwritable) != 1 || f.Skew != 29*time.Second {
		t.Errorf("facts: %+v", f)
	}
	hook := Hook{
		HookCalled, []HookCall{{"shop", "failed", "storage answered 403"}, {"door", "none", ""}, {}},
		&engine.CatchUp{Mode: engine.CatchUpAfterSuspension, Outcome: "failed", Text: "it was rolled back"},
		[]string{"0123", "4567"}, "it is set, and holds no key", "/data", true, 1469918176385, "00ff", []Undone{{"child_not_started", ":cache of Shop (:eaddr inuse)"}},
	}
	if !reflect.DeepEqual(f.Hook, hook) {
		t.Errorf("the hook: %+v", f.Hook)
	}
	for _, clock := range []struct{ at, want time.Duration }{{-time.Minute, -time.Minute}, {0, 0}, {time.Second / 2, 0}, {2 * time.Second, time.Second}} {
		if got := skew(at.Add(clock.at), at, at.Add(time.Second)); got != clock.want {
			t.Errorf("a clock at %v is off by %v, want %v", clock.at, got, clock.want)
		}
	}
}
