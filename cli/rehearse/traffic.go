package rehearse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/command"
	"flydeploy/text"
)

const (
	// trafficGrace is how long the traffic may take to end after its interrupt.
	trafficGrace = 10 * time.Second
	// trafficShown is how many lines of its output are shown where it has failed.
	trafficShown = 10
)

// traffic is the operator's command, which runs until it is stopped.
type traffic struct {
	ports *ports
	end   context.CancelFunc
	ended chan struct{} // closed once it has
	err   error         // how, once it has
	log   *os.File
	path  string // of the log, where that stays
	once  sync.Once
	early bool // it had ended before it was stopped

	mu    sync.Mutex
	lines []string // the last of its output
}

// startTraffic runs it in a shell, with the machines' addresses in its environment. It ends with this process, however that ends.
func startTraffic(r *Rehearsal) (*traffic, error) {
	o := r.options.Traffic
	t := &traffic{path: o.Log, ended: make(chan struct{})}
	path := o.Log
	if path == "" {
		path = filepath.Join(r.fly.Folder(), "traffic.log")
	}
	var err error
	if t.log, err = os.Create(path); err != nil {
		return nil, engine.NewProblem("no_traffic_log", "write the log of the traffic", err, "Name another file: --traffic-log.")
	}
	if t.ports, err = openPorts(r.machines, r.port(), r.fly.Dial); err != nil {
		return nil, errors.Join(err, t.log.Close())
	}
	t.run(o.Command, append(command.Environ(), r.fly.Mark(), "FLYDEPLOY_URL="+t.ports.url(), "FLYDEPLOY_URLS="+t.ports.urls()), t.line)
	return t, nil
}

func (t *traffic) run(says string, env []string, line func(string)) {
	ctx, end := context.WithCancel(context.Background())
	t.end = end
	cmd := exec.CommandContext(ctx, "sh", "-c", says)
	cmd.Env = env
	go func() {
		defer close(t.ended)
		t.err = command.Run(ctx, cmd, trafficGrace, line)
	}()
}

// line takes a line of its output.
func (t *traffic) line(says string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintln(t.log, says) // a full disk does not end the traffic
	t.lines = append(t.lines[max(0, len(t.lines)+1-trafficShown):], says)
}

// stop ends it, if it has not ended, and says how it has: an error where it has failed. It may be called again.
func (t *traffic) stop() error {
	t.once.Do(func() {
		select {
		case <-t.ended:
			t.early = true
		default:
		}
		t.end()
		<-t.ended
		t.ports.close()
		_ = t.log.Close() // each line was written
	})
	return t.failure()
}

// failure says how it has failed, nil if it has not. What our interrupt has ended has not.
func (t *traffic) failure() error {
	var exit *exec.ExitError
	switch {
	case t.err == nil, !t.early && errors.Is(t.err, context.Canceled):
		return nil
	case !errors.As(t.err, &exit):
		return engine.NewProblem("traffic_failed", "run the traffic", t.err, "")
	case !t.early && wasInterrupted(exit):
		return nil
	}
	what := fmt.Sprintf("the traffic failed (%s)", exit)
	for _, line := range t.lines {
		what += "\n  " + text.Redact(line)
	}
	remedy := "--traffic-log FILE keeps all that it prints."
	if t.path != "" {
		remedy = "All that it has printed is in " + text.Line(t.path) + "."
	}
	return engine.NewProblem("traffic_failed", what, nil, remedy)
}

// wasInterrupted: the interrupt, or the kill after it, has ended it, or a shell says so of what it ran.
func wasInterrupted(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && (status.Signal() == syscall.SIGINT || status.Signal() == syscall.SIGKILL) || exit.ExitCode() == 128+int(syscall.SIGINT)
}
