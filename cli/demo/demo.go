// Package demo brings up a Fly on this computer, with machines that run the sample app under steady traffic, and tells
// what a deploy looked like from the outside. It is the one way by which the program links the local Fly.
package demo

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"flydeploy/examples/counter"
	"flydeploy/fly/local"
	"flydeploy/text"
)

// App is the Fly app's name.
const App = "counter"

const (
	port = 8080
	// readyWithin bounds the boot of all machines.
	readyWithin = 2 * time.Minute
)

// Options of a demo.
type Options struct {
	Machines  int
	Counters  int // processes on each machine
	Isolation local.Isolation
}

// Isolations are the ways in which machines can run, the usual one first.
var Isolations = local.Isolations

// Demo is a local Fly with the sample app on it, and traffic.
type Demo struct {
	options Options
	fly     *local.Fly
	tell    func(string)
	clients map[string]*counter.Client
	before  map[string]counter.Snapshot
	traffic *counter.Traffic
}

// Start brings everything up, and tells what takes its time. What it gives must be closed, also where it failed half-way;
// nil needs no end.
func Start(ctx context.Context, o Options, tell func(string)) (*Demo, error) {
	d := &Demo{options: o, tell: tell, clients: map[string]*counter.Client{}, before: map[string]counter.Snapshot{}}
	var err error
	d.fly, err = local.Start(ctx, local.Options{App: App, Isolation: o.Isolation})
	if err != nil {
		return nil, err
	}
	started := time.Now()
	d.tell("building version 1 of the sample app …")
	image, err := d.Build(ctx, 1, func(string) {})
	if err != nil {
		return d, err
	}
	d.tell(fmt.Sprintf("starting %s, each a BEAM node with %s …", text.Counted(o.Machines, "machine"), text.Counted(o.Counters, "process")))
	if err := d.launch(ctx, image); err != nil {
		return d, err
	}
	if err := d.startTraffic(ctx); err != nil {
		return d, err
	}
	d.tell(fmt.Sprintf("ready after %.1f s", time.Since(started).Seconds()))
	return d, nil
}

// Build makes a version of the sample app, or takes what an earlier demo has made, and gives its image. It stands where
// `fly deploy --build-only --push` stands on Fly.
func (d *Demo) Build(ctx context.Context, version int, log func(string)) (string, error) {
	release, kept, err := counter.Kept(ctx, version, func(source string) (string, error) {
		return d.fly.BuildRelease(ctx, source, []string{fmt.Sprintf("COUNTER_VERSION=%d", version)}, log)
	})
	if err != nil {
		return "", err
	}
	if kept {
		log(fmt.Sprintf("==> Release %d.0.0 was built before from the same source, with the same Erlang and Elixir", version))
	}
	return d.fly.Image(ctx, release, log)
}

func (d *Demo) launch(ctx context.Context, image string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var mu sync.Mutex
	spec := local.MachineSpec{Image: image, Env: map[string]string{"COUNTERS": fmt.Sprint(d.options.Counters)}}
	return d.fly.Spread(ctx, d.options.Machines, spec, func(ctx context.Context, id string) error {
		client := counter.NewClient(func(ctx context.Context) (net.Conn, error) { return d.fly.Dial(ctx, id, port) })
		mu.Lock()
		d.clients[id] = client
		mu.Unlock()
		return client.AwaitHealth(ctx)
	})
}

func (d *Demo) startTraffic(ctx context.Context) error {
	var targets []counter.Target
	for id, client := range d.clients {
		snapshot, err := client.Snapshot(ctx)
		if err != nil {
			return fmt.Errorf("machine %s: %w", id, err)
		}
		d.before[id] = snapshot
		targets = append(targets, counter.Target{Machine: id, Client: client})
	}
	var err error
	d.traffic, err = counter.StartTraffic(context.WithoutCancel(ctx), targets, counter.DefaultLoad)
	return err
}

// APIURL is the address of the local Fly's Machines API.
func (d *Demo) APIURL() string { return d.fly.APIURL() }

// Token is one for that API.
func (d *Demo) Token() string { return d.fly.Token() }

// Header is the console's line about the traffic.
func (d *Demo) Header() string {
	r := d.traffic.Report(nil)
	return fmt.Sprintf("traffic: %d requests, %d failed, longest %.0f ms", r.Requests, r.Failed, r.MaxLatencyMS)
}

// Close ends the traffic, and the local Fly with its machines.
func (d *Demo) Close() error {
	if d.traffic != nil {
		d.traffic.Stop()
	}
	return d.fly.Close()
}
