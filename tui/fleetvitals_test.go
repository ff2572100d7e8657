package tui

import (
	"context"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// What VMs have told has columns on the fleet; of the others nobody knows.
func TestVitalsOnTheFleetScreen(t *testing.T) {
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.send(inspectedMsg{overview: tuitest.InspectedOverview()})
		b.pass(noticeStays + time.Second)
		b.golden()
	})
}

// A deploy's machines tell more, and it stays on the screen with its age when the deploy is left.
func TestVitalsOfADeployStayOnTheFleetScreen(t *testing.T) {
	before, watching, ended, end := tuitest.Watched(6)
	everySize(t, Options{}, func(b *bench) {
		b.sees(6)
		b.deploys(before, nil)
		b.hears(watching, nil)
		b.hears(ended, &end)
		b.keys("esc")
		b.sees(6)
		b.pass(8 * time.Second)
		b.golden()
	})
}

func TestVitalsOfAnotherInstanceAreUnknown(t *testing.T) {
	b := newBench(t, size{200, 60}, Options{})
	b.sees(6)
	b.hides("MEMORY")
	b.shows("? unknown: i asks")
	b.send(inspectedMsg{overview: tuitest.InspectedOverview()})
	b.shows("MEMORY", "182 MB")
	b.keys("down", "down")
	b.shows("alive      3,204 processes")
	o := tuitest.OverviewOf(6)
	for i := range o.Machines {
		o.Machines[i].InstanceID = "01K93Q9999"
	}
	b.send(overviewMsg{overview: o})
	b.hides("MEMORY", "182 MB")
}

// The fleet's screen asks no VM by itself.
func TestNoVMIsAskedForTheSakeOfVitals(t *testing.T) {
	o := offering(Options{})
	backendOf(o).OnInspect = func(context.Context) (engine.Overview, error) {
		t.Error("the VMs are asked")
		return tuitest.InspectedOverview(), nil
	}
	b := newBench(t, size{120, 40}, o)
	for range 5 {
		b.sees(6)
		b.pass(pollEvery)
		if cmd := b.poll(0); cmd != nil {
			b.send(cmd())
		}
	}
}

// While the VMs are asked the screen says so, for as long as that takes, and to whoever asks again.
func TestAskingTheVMsIsSeen(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.sees(6)
	b.keys("i")
	b.pass(10 * noticeStays)
	b.hides("Asking every VM")
	b.shows("· asking the VMs")
	b.keys("i")
	b.shows("not all have answered yet")
	b.send(inspectedMsg{overview: tuitest.InspectedOverview()})
	b.hides("asking the VMs")
}
