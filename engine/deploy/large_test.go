package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// A deploy to many machines writes current.json and renews its lock by time, not once for each machine, and its record can be read
// back: its plan holds the kinds of processes of every machine.
func TestALargeFleet(t *testing.T) {
	const machines = 400
	played(t, machines, func(t *testing.T, s *stage) {
		var kinds []agent.Process
		for i := range 60 {
			kinds = append(kinds, agent.Process{Module: fmt.Sprintf("Counter.Some.Rather.Long.Name.Of.A.Module%d", i), Kind: "gen_server", Count: i})
		}
		s.Behave("", func(b *agenttest.Behaviour) { b.Processes = kinds })
		settings := playedSettings()
		settings.MaxConcurrency = machines
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.WriteMetadata})); n > machines/10 {
			t.Errorf("current.json was written %d times for %d machines", n, machines)
		}
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.RenewLock})); n > machines/2 {
			t.Errorf("the lock was renewed %d times for %d machines", n, machines)
		}
		events, result, err := record.ReadEvents(t.Context(), s.Storage, r.Upgrade.ID)
		if err != nil || result == nil || result.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("its record: %d events, result %v: %v", len(events), result, err)
		}
		files, err := s.Storage.Results(t.Context(), r.Upgrade.ID, "machines-")
		ends := map[string]string{}
		for _, name := range files {
			var part []struct {
				ID     string `json:"machine_id"`
				Status string `json:"status"`
			}
			if err := json.Unmarshal(s.Object(agenttest.ResultKey(r.Upgrade.ID, name)), &part); err != nil {
				t.Error(err)
			}
			for _, m := range part {
				ends[m.ID] = m.Status
			}
		}
		if err != nil || len(files) != 2 || len(ends) != machines || ends["m399"] != "completed" {
			t.Errorf("%d machines' ends are in %v: %v", len(ends), files, err)
		}
		replayed := engine.NewProgress()
		for _, e := range events {
			replayed.Apply(e)
		}
		if replayed.Plan == nil || len(replayed.Plan.Machines) != machines || len(replayed.Plan.Machines[0].Processes) != 60 {
			t.Error("the plan in the record is not whole")
		}
		pieces, err := s.Storage.Results(t.Context(), r.Upgrade.ID, "events")
		for _, name := range pieces {
			if size := len(s.Object(agenttest.ResultKey(r.Upgrade.ID, name))); size > 600<<10 {
				t.Errorf("%s has %d bytes", name, size)
			}
		}
		if err != nil || len(pieces) < 10 {
			t.Errorf("its events are in %v: %v", pieces, err)
		}
		watched, source := engine.NewProgress(), record.Watch(s.Storage, r.Upgrade.ID, time.Second)
		for {
			batch, err := source.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range batch {
				watched.Apply(e)
			}
		}
		if !reflect.DeepEqual(watched.Plan, replayed.Plan) {
			t.Error("who watches has another plan than who replays")
		}
	})
}
