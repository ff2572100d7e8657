package doctor

import (
	"context"
	"testing"

	"flydeploy/engine"
)

// trials notes down that an object was written.
type trials struct {
	engine.Trials
	tried int
}

func (t *trials) TryConditions(context.Context) error { t.tried++; return nil }

func TestAReadOnlyDoctorWritesNothing(t *testing.T) {
	for readOnly, want := range map[bool]engine.CheckStatus{true: engine.CheckSkipped, false: engine.CheckOK} {
		var got engine.Check
		at := &trials{}
		d := &doctor{Patient: Patient{ReadOnly: readOnly}, report: func(c engine.Check) { got = c }}
		d.conditions(t.Context(), at)
		if got.Name != "conditional_writes" || got.Status != want || (at.tried == 0) != readOnly {
			t.Errorf("read-only %t: %+v, tried %d times", readOnly, got, at.tried)
		}
	}
}
