package counter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// callTimeout bounds one call. The application itself gives up on a counter after 5 s, and then answers 500.
const callTimeout = 15 * time.Second

// Load says how much traffic each machine gets.
type Load struct {
	Callers  int     // connections that increment counters
	Rate     float64 // increments a second on each of them
	Sweepers int     // connections that sweep, at least 2
	// SweepOver is how long one sweep takes. Sweeps of one machine overlap, so that one is always outstanding.
	SweepOver time.Duration
}

// DefaultLoad asks about 60 requests a second of each machine.
var DefaultLoad = Load{Callers: 4, Rate: 15, Sweepers: 2, SweepOver: 1500 * time.Millisecond}

// Target is one machine that gets traffic.
type Target struct {
	Machine string
	Client  *Client
}

// Traffic is a steady load on several machines.
type Traffic struct {
	stop     context.CancelFunc
	running  sync.WaitGroup
	machines map[string]*record
}

// StartTraffic sends load to every target until Stop, or until ctx ends. Every target must answer once before any
// traffic starts.
func StartTraffic(ctx context.Context, targets []Target, load Load) (*Traffic, error) {
	t := &Traffic{machines: make(map[string]*record, len(targets))}
	counters := make([]int, len(targets))
	for i, target := range targets {
		all, err := target.Client.Counters(ctx)
		if err != nil {
			return nil, fmt.Errorf("traffic for machine %s: %w", target.Machine, err)
		}
		if all.Number == 0 {
			return nil, fmt.Errorf("traffic for machine %s: it has no counters", target.Machine)
		}
		counters[i] = all.Number
		t.machines[target.Machine] = newRecord()
	}
	ctx, t.stop = context.WithCancel(ctx)
	for i, target := range targets {
		t.startMachine(ctx, target, load, counters[i])
	}
	return t, nil
}

func (t *Traffic) startMachine(ctx context.Context, target Target, load Load, counters int) {
	record := t.machines[target.Machine]
	increments := schedule{callers: load.Callers, period: time.Duration(float64(time.Second) / load.Rate)}
	t.start(ctx, target.Client.dial, increments, func(i int) call {
		next := i * counters / load.Callers // callers start far from one another, and each reaches every counter
		return func(ctx context.Context, c *caller) {
			number := next%counters + 1
			next++
			record.increment(number, c.call(ctx, http.MethodPost, incrementPath(number)))
		}
	})
	// A sweep starts every period/Sweepers and takes two thirds of a period: at any moment one is under way that has a
	// good part of its calls before it, and so waits in a suspension that begins then.
	sweeps := schedule{callers: load.Sweepers, period: load.SweepOver * 3 / 2}
	t.start(ctx, target.Client.dial, sweeps, func(int) call {
		return func(ctx context.Context, c *caller) {
			record.sweep(c.call(ctx, http.MethodGet, sweepPath(load.SweepOver)))
		}
	})
}

// schedule is a number of callers, each of which calls once every period; their calls are spread evenly over it.
type schedule struct {
	callers int
	period  time.Duration
}

type call func(context.Context, *caller)

// start runs the schedule's callers, each with a call of its own.
func (t *Traffic) start(ctx context.Context, dial Dial, s schedule, makeCall func(i int) call) {
	for i := range s.callers {
		delay := s.period * time.Duration(i) / time.Duration(s.callers)
		call := makeCall(i)
		t.running.Go(func() { run(ctx, dial, delay, s.period, call) })
	}
}

// Stop ends the traffic: calls under way are finished first, within callTimeout.
func (t *Traffic) Stop() {
	t.stop()
	t.running.Wait()
}

// run calls once every period, first after delay, until ctx ends. A call that takes longer swallows the ticks meanwhile.
func run(ctx context.Context, dial Dial, delay, period time.Duration, call call) {
	c := &caller{dial: dial}
	defer c.close()
	if !wait(ctx, delay) {
		return
	}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		// The end of the traffic ends no call: it would be a failure that nobody saw.
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		call(callCtx, c)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func wait(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// caller makes calls on one connection, and opens another after a failure.
type caller struct {
	dial Dial
	conn *conn
}

// outcome of one call. Sent says that the request may have reached the application.
type outcome struct {
	started, ended time.Time
	sent           bool
	err            error
}

func (c *caller) call(ctx context.Context, method, path string) outcome {
	o := outcome{started: time.Now()}
	if c.conn == nil {
		c.conn, o.err = dialConn(ctx, c.dial)
	}
	if o.err == nil {
		o.sent = true
		_, o.err = c.conn.do(ctx, method, path)
	}
	o.ended = time.Now()
	// The application answers 4xx without having done anything; a 500 may come of a counter that was only late.
	var status *StatusError
	if errors.As(o.err, &status) && status.Code < 500 {
		o.sent = false
	} else if o.err != nil {
		c.close()
	}
	return o
}

func (c *caller) close() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}
