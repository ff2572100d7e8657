package local

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// spreadOver are the regions of a fleet that nobody has given any.
var spreadOver = []string{"ams", "fra", "ord"}

// Spread makes n machines at once, in three regions in turn, and has ready wait for each of them once it is started. It returns when all
// have come up, or have failed to.
func (f *Fly) Spread(ctx context.Context, n int, spec MachineSpec, ready func(ctx context.Context, id string) error) error {
	errs := make([]error, n)
	var launching sync.WaitGroup
	for i := range n {
		launching.Go(func() {
			one := spec
			one.Region = spreadOver[i%len(spreadOver)]
			var id string
			if id, errs[i] = f.Launch(ctx, one); errs[i] == nil {
				errs[i] = ready(ctx, id)
			}
		})
	}
	launching.Wait()
	return errors.Join(errs...)
}

// Launch makes a machine and waits until it is in the state that spec asks for. started does not mean that the
// application is ready.
func (f *Fly) Launch(ctx context.Context, spec MachineSpec) (id string, err error) {
	return f.machines.Launch(ctx, spec)
}

// Update gives a machine another image, as `fly deploy` does, and waits until it has started: it keeps its id, and is another
// instance.
func (f *Fly) Update(ctx context.Context, machineID, image string) error {
	return f.machines.UpdateImage(ctx, machineID, image)
}

// Dial connects to a port that a started machine listens on, as the machine's configuration numbers it.
func (f *Fly) Dial(ctx context.Context, machineID string, port int) (net.Conn, error) {
	return f.machines.Dial(ctx, machineID, port)
}

// Console is what a machine's entrypoint has printed over all its boots, its last 64 KB.
func (f *Fly) Console(machineID string) string { return f.machines.Console(machineID) }

// Ended tells with which code a machine's entrypoint has ended by itself, the last time that it did; false where it never has.
func (f *Fly) Ended(machineID string) (code int, ended bool) {
	m, ok := f.machines.Get(machineID)
	if !ok {
		return 0, false
	}
	return m.Ended()
}

// Crash kills a machine's entrypoint as the kernel does when memory is short. What follows is up to the restart policy.
func (f *Fly) Crash(machineID string) error { return f.machines.Crash(machineID) }

// Restart begins to restart a machine at once, as `fly machine restart --force` does, whatever the rate limits are.
func (f *Fly) Restart(machineID string) error { return f.machines.ForceRestart(machineID) }

// CutNetwork takes away a machine's way to S3 and the Machines API, until restore is called or the machine boots again.
// The Machines API still reaches the machine.
func (f *Fly) CutNetwork(machineID string) (restore func(), err error) {
	return f.machines.CutNetwork(machineID)
}

// LoseHost puts a machine's host out of reach until restore is called: the API lists the machine without its
// configuration, and no request to the machine has an answer in time. The machine itself runs on.
func (f *Fly) LoseHost(machineID string) (restore func(), err error) {
	return f.machines.LoseHost(machineID)
}

// FillRegion leaves no room for new machines in a region until restore is called: the API refuses to launch there.
func (f *Fly) FillRegion(region string) (restore func()) { return f.machines.FillRegion(region) }

// UseUpQuota has the organisation use all that it may in a region until restore is called: the API refuses to launch there.
func (f *Fly) UseUpQuota(region string) (restore func()) { return f.machines.UseUpQuota(region) }

// LagHosts lets a new machine be unknown (404) for that long to clients that do not keep the API's cookie, until restore is called.
func (f *Fly) LagHosts(by time.Duration) (restore func()) { return f.api.LagHosts(by) }

// LagLists lets lists of machines show the fleet as it was that long ago, until restore is called: a new machine is not
// there yet, one that is gone still is. A machine that is asked for by its id is shown as it is.
func (f *Fly) LagLists(by time.Duration) (restore func()) { return f.api.LagLists(by) }
