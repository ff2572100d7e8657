package deploy_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly"
)

// The first deploy of a flydeploy, whose agent nobody has kept, with a temporary machine behind Fly's limits, 300 ms away. It prints what that
// machine is asked for, and how long each answer takes: of the agent's, most is the compilation.
func TestAFirstDeployBehindFlysLimits(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("make soak")
	}
	w := newWorld(t, 1)
	way := &distant{travels: 300 * time.Millisecond}
	client, err := fly.New(fly.Options{App: "counter", Token: w.local.Token(), BaseURL: w.local.APIURL(), Transport: way})
	if err != nil {
		t.Fatal(err)
	}
	ports := w.ports(2)
	ports.Fleet, ports.Leases, ports.Agents = client, client, nil
	d := deploy.Start(t.Context(), settings(), ports)
	p := w.watch(d, nil)
	r := d.Result()
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	there := end(p.Fleet[engine.PhaseOrchestrator])
	execs := slices.DeleteFunc(way.spans, func(s span) bool { return slices.Contains(w.ids, s.machine) })
	for _, s := range execs {
		fmt.Printf("%6.2f s  %-6s %5.2f s\n", s.from.Sub(there).Seconds(), s.what, s.took.Seconds())
	}
	fmt.Printf("%d execs on the temporary machine, %d refused; from its start the agent was compiled after %.1f s, and both were in the bucket after %.1f s\n",
		len(execs), way.refused, end(p.Fleet[engine.PhaseTarball]).Sub(there).Seconds(), end(p.Fleet[engine.PhaseUpload]).Sub(there).Seconds())
	if starts := len(slices.DeleteFunc(slices.Clone(execs), func(s span) bool { return s.what != "job" })); starts != 4 || way.refused > 0 {
		t.Errorf("%d jobs were started, %d execs refused", starts, way.refused)
	}
}
