package cli

import (
	"fmt"
	"strings"
	"testing"

	"flydeploy/engine"
)

// The rows of a large fleet come one by one, in the order of the answers, in aligned columns; the summary follows.
func TestTheStatusOfALargeFleetComesRowByRow(t *testing.T) {
	o := engine.Overview{App: "shop", Code: map[string]engine.MachineCode{}}
	for i := range 60 {
		o.Machines = append(o.Machines, engine.Machine{ID: fmt.Sprintf("m%d", i), Region: "ams", State: engine.StateStarted, Image: "registry.fly.io/shop:v1"})
	}
	var out strings.Builder
	err := streamStatus(&out, &o, func(told func(engine.Machine)) {
		for i := len(o.Machines) - 1; i >= 0; i-- {
			m := o.Machines[i]
			o.Code[m.ID] = engine.MachineCode{Hook: engine.HookCalled}
			told(m)
			if lines := strings.Count(out.String(), "\n"); lines != 1+len(o.Machines)-i {
				t.Fatalf("%d lines after %d answers", lines, len(o.Machines)-i)
			}
		}
	})
	lines := strings.Split(out.String(), "\n")
	if err != nil || !strings.HasPrefix(lines[1], "m59") || !strings.HasPrefix(lines[60], "m0 ") {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, line := range lines[1:61] {
		if strings.Index(line, "called") != strings.Index(lines[0], "HOOK") {
			t.Errorf("not aligned:\n%s\n%s", lines[0], line)
		}
	}
	if !strings.HasPrefix(lines[62], "app shop") {
		t.Errorf("no summary:\n%s", out.String())
	}
}
