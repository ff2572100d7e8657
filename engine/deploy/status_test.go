package deploy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/doctor"
)

// What 1,000 machines run is told within 15 seconds, each machine's answer as it comes, although some are slow and some never answer.
func TestTheStatusOfALargeFleet(t *testing.T) {
	t.Parallel()
	const machines = 1000
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(machines)
		c := newCloud(w)
		c.trouble(machines)
		c.fates["m500"] = fate{silent: 1}
		client := c.client()
		begun := time.Now()
		o, err := doctor.Look(t.Context(), agenttest.App, client, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var first time.Duration
		told := map[string]int{}
		doctor.Inspect(t.Context(), &o, client, func(m engine.Machine) {
			if told[m.ID]++; first == 0 {
				first = time.Since(begun)
			}
		})
		if took := time.Since(begun); took > 15*time.Second || first > 3*time.Second {
			t.Errorf("it took %s, and %s to the first", took, first)
		}
		unknown := 0
		for _, code := range o.Code {
			if code.Problem != nil {
				unknown++
			}
		}
		if len(told) != machines || len(o.Code) != machines || o.Code["m500"].Problem == nil || unknown > 20 {
			t.Errorf("%d machines were told, %d of %d are unknown", len(told), unknown, len(o.Code))
		}
		if c.counted.refused*100 > c.counted.requests {
			t.Errorf("%d of %d requests were refused", c.counted.refused, c.counted.requests)
		}
	})
}
