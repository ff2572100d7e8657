package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// anotherVersion gives the bundle of a flydeploy whose agent has another hash.
func anotherVersion(t *testing.T) bundle {
	t.Helper()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	other := bundle{hash: "0123456789ab", agent: "FlyDeployAgent_0123456789ab"}
	for _, p := range b.parts {
		other.parts = append(other.parts, newPart(strings.ReplaceAll(decode(t, p.source), b.hash, other.hash)))
	}
	return other
}

// loadedOf counts the VM's modules of an agent, and those that were loaded more than once.
func (n *node) loadedOf(agent string) (loaded, twice int) {
	n.t.Helper()
	_, _ = fmt.Sscan(n.eval(`
		ours = for {m, _} <- :code.all_loaded(), "#{m}" =~ "`+agent+`", do: m
		IO.puts("#{length(ours)} #{Enum.count(ours, &:erlang.check_old_code/1)}")`), &loaded, &twice)
	return loaded, twice
}

// Whoever takes over has to learn that there is an agent before anything is compiled, in the VM and in its own words.
func TestABusyVMCompilesNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	left := orderOf(t, tarballOf(t, 2).bytes)
	if _, err := inject(t.Context(), n.exec, n.vm, left, anotherVersion(t)); err != nil {
		t.Fatal(err)
	}
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	counted := func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		requests++
		return n.exec(ctx, command, stdin, timeout)
	}
	mine := orderOf(t, tarballOf(t, 2).bytes)
	_, err = Inject(t.Context(), counted, n.vm, mine)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.ID != left.ID || busy.Owner != left.Owner {
		t.Fatalf("beside another version's agent: %v", err)
	}
	if loaded, _ := n.loadedOf(b.agent); loaded > 0 || requests != 1 {
		t.Errorf("%d modules compiled in %d requests", loaded, requests)
	}

	if state, err := busy.TakeOver(t.Context(), n.exec, n.vm); err != nil || state != Aborted {
		t.Fatalf("taking over: %s %v", state, err)
	}
	n.awaitGone()
	requests = 0
	if _, err := Inject(t.Context(), counted, n.vm, mine); err != nil {
		t.Fatal(err)
	}
	if requests != len(b.parts) {
		t.Errorf("an injection takes %d requests for %d parts", requests, len(b.parts))
	}
	requests = 0
	if _, err := Inject(t.Context(), counted, n.vm, mine); err != nil || requests != 1 {
		t.Errorf("the same order again: %d requests, %v", requests, err)
	}
}

// The platform ends an exec after a minute, and with it the VM of `bin/NAME rpc`, but not what this has begun in the running VM.
func TestAPartThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	first := b.parts[0]
	o := orderOf(t, tarballOf(t, 2).bytes)

	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	ended := make(chan error, 1)
	go func() {
		_, err := n.realExec(ctx, requests(n.vm, b, o)[0].command, "", injectTimeout)
		ended <- err
	}()
	compiled := func() int { loaded, _ := n.loadedOf(b.agent); return loaded }
	for compiled() == 0 {
		time.Sleep(time.Millisecond)
	}
	cut()
	if err := <-ended; !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Skipf("the part was compiled before it could be cut off: %v", err)
	}
	for deadline := time.Now().Add(2 * time.Minute); compiled() < first.modules; {
		if time.Now().After(deadline) {
			t.Fatalf("the VM has stopped after %d of %d modules", compiled(), first.modules)
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.stagesOnce(b, o)
}

// Not even where only some of a part's modules are in the VM are these compiled again.
func TestModulesThatAreThereAreNotCompiledAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	text := decode(t, b.parts[0].source)
	module, _, _ := strings.Cut(text, "\ndefmodule ")
	n.eval(`"` + base64.StdEncoding.EncodeToString([]byte(module)) + `" |> Base.decode64!() |> Code.compile_string()`)
	if loaded, _ := n.loadedOf(b.agent); loaded != 1 {
		t.Fatalf("%d modules", loaded)
	}
	n.stagesOnce(b, orderOf(t, tarballOf(t, 2).bytes))
}

// stagesOnce injects the agent and checks that no module was compiled twice.
func (n *node) stagesOnce(b bundle, o Order) {
	n.t.Helper()
	if _, staged := n.order(o); staged.State != Staged {
		n.t.Errorf("staging: %s %v", staged.State, staged.Error)
	}
	if loaded, twice := n.loadedOf(b.agent); twice > 0 {
		n.t.Errorf("%d of %d modules were compiled twice", twice, loaded)
	}
}
