package engine

import (
	"slices"
	"testing"
)

var allStates = []MachineState{
	MachineWaiting, MachineStaging, MachineStaged, MachineUpToDate, MachineArming, MachineArmed, MachineCommitting, MachineCommitted,
	MachineVerified, MachineRecorded, MachineLeftOut, MachineDown, MachineFailed, MachineStale, MachineAborted, MachineExpired,
	MachineRolledBack, MachineRolledBackWithLosses, MachineUnknown, MachineRestarted, MachineReplaced, MachineStopped, MachineGone, MachineUnhealthy, MachineTakenBack, MachineCold,
}

// How a machine goes if all goes well, and what must never happen.
func TestTransitions(t *testing.T) {
	well := []MachineState{
		MachineWaiting, MachineStaging, MachineStaged, MachineArming, MachineArmed, MachineCommitting, MachineCommitted, MachineVerified, MachineRecorded,
	}
	for i, s := range well[:len(well)-1] {
		if !s.CanBecome(well[i+1]) {
			t.Errorf("%s may not become %s", s, well[i+1])
		}
		for _, later := range well[min(i+2, len(well)):] {
			if s.CanBecome(later) {
				t.Errorf("%s may become %s at once", s, later)
			}
		}
		for _, earlier := range well[:i+1] {
			if s.CanBecome(earlier) {
				t.Errorf("%s may become %s again within one attempt", s, earlier)
			}
		}
	}
	for _, end := range []MachineState{MachineRolledBack, MachineRolledBackWithLosses, MachineAborted, MachineExpired, MachineFailed, MachineLeftOut, MachineDown} {
		if !end.Final() {
			t.Errorf("%s is not final", end)
		}
	}
	for _, s := range []MachineState{MachineWaiting, MachineStaging, MachineStaged, MachineArming, MachineArmed} {
		if s.CanBecome(MachineCommitted) || s.CanBecome(MachineVerified) || s.CanBecome(MachineUnknown) || s.CanBecome(MachineRestarted) {
			t.Errorf("%s, to which no commit was sent, may be what only a commit makes of it", s)
		}
	}
}

// Every state that can be reached is in the list, and every state in the list can be reached.
func TestEveryStateIsReached(t *testing.T) {
	reached := []MachineState{MachineWaiting}
	for i := 0; i < len(reached); i++ {
		for _, next := range transitions[reached[i]] {
			if !slices.Contains(reached, next) {
				reached = append(reached, next)
			}
		}
	}
	slices.Sort(reached)
	want := slices.Sorted(slices.Values(allStates))
	if !slices.Equal(reached, want) {
		t.Errorf("reached: %v\nwant:    %v", reached, want)
	}
}

// Only machines whose VM was asked run the upgrade, and those that ran it before.
func TestOutcomes(t *testing.T) {
	for _, s := range allStates {
		o := s.Outcome(false)
		if o == "" {
			t.Errorf("%s has no outcome", s)
		}
		if o.Upgraded() != (s.Upgraded() || s == MachineUpToDate) {
			t.Errorf("%s has the outcome %s", s, o)
		}
	}
	if o := MachineRecorded.Outcome(true); o != OutcomeUpToDate {
		t.Errorf("a machine that was up to date ends as %s", o)
	}
}
