package agenttest

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"flydeploy/engine/agent"
)

// trial is that of a VM, see FlyDeployAgent.OnTrial.
type trial struct {
	id    string
	until time.Time
}

// tryOut ends what trial there is in the machine's VM, and begins the order's, if it is for one: when it is over the VM stops, and
// the machine starts again.
func (w *World) tryOut(m *machine, o order) {
	v := m.vm
	v.trial = nil
	if o.trial <= 0 {
		return
	}
	begun := &trial{cmp.Or(o.fence, o.id), time.Now().Add(o.trial)}
	v.trial = begun
	time.AfterFunc(o.trial, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if m.vm == v && v.trial == begun {
			w.boot(m, Boot{})
		}
	})
}

func (t *trial) told() *agent.TrialTold {
	if t == nil {
		return nil
	}
	return &agent.TrialTold{ID: t.id, LeftMS: max(time.Until(t.until), 0).Milliseconds()}
}

func (t *trial) lines() []string {
	if t == nil {
		return nil
	}
	return []string{fmt.Sprintf("trial=%s %d", t.id, t.told().LeftMS)}
}

// confirmedBy gives the deploy whose trial a request confirms, "" for one that looks only.
func confirmedBy(bindings string) string {
	return strings.TrimSuffix(strings.TrimPrefix(bindings, `confirmed = "`), `"`)
}

// tellTrial is trial.exs.
func (m *machine) tellTrial(bindings string) Output {
	if t := m.vm.trial; t != nil && t.id == confirmedBy(bindings) {
		m.vm.trial = nil
	}
	lines := append([]string{marker + "trial"}, m.vm.trial.lines()...)
	if a := m.vm.living(); a != nil && a.state != agent.Committing {
		lines = append(lines, "agent_id="+a.order.id, "agent_dir="+dirOf(a.order.id))
	}
	if r := m.ran(); r != nil {
		lines = append(lines, fmt.Sprintf("newest_ms=%d", m.vm.newest))
	}
	return say(append(lines, marker+"end")...)
}
