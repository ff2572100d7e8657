package machine

import (
	"fmt"
	"syscall"
	"time"

	fly "github.com/superfly/fly-go"
)

// Fly's defaults for machines that configure none.
const (
	defaultStopSignal  = "SIGINT"
	defaultStopTimeout = 5 * time.Second
	// maxStopTimeout is the most that a machine may configure. Source: tldraw/tldraw, pull request 8656.
	maxStopTimeout = 5 * time.Minute
)

// checkStop refuses what Fly refuses of a machine's configuration.
func checkStop(c *fly.StopConfig) error {
	if c != nil && c.Timeout != nil && c.Timeout.Duration > maxStopTimeout {
		return fmt.Errorf("%w: invalid stop_config.timeout, cannot exceed 5 minutes", ErrInvalid)
	}
	return nil
}

var stopSignals = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGKILL": syscall.SIGKILL,
	"SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGTERM": syscall.SIGTERM,
}

// Stopping is how to end an entrypoint: by a signal, and by force where it runs on after the timeout. Without a timeout
// force comes at once.
type Stopping struct {
	Signal  syscall.Signal
	Timeout time.Duration
}

// Stopping takes what a request asks for, else what the machine configures, else Fly's defaults.
func (m *Machine) Stopping(signal string, timeout time.Duration) (Stopping, error) {
	if configured := m.Snapshot().Config.StopConfig; configured != nil {
		if signal == "" && configured.Signal != nil {
			signal = *configured.Signal
		}
		if timeout == 0 && configured.Timeout != nil {
			timeout = configured.Timeout.Duration
		}
	}
	if signal == "" {
		signal = defaultStopSignal
	}
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	number, ok := stopSignals[signal]
	if !ok {
		return Stopping{}, fmt.Errorf("%w: unknown signal %q", ErrInvalid, signal)
	}
	return Stopping{Signal: number, Timeout: timeout}, nil
}
