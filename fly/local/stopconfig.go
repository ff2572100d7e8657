package local

import (
	"net/http"
	"syscall"
	"time"

	fly "github.com/superfly/fly-go"
)

// Fly's defaults for machines that configure none.
const (
	defaultStopSignal  = "SIGINT"
	defaultStopTimeout = 5 * time.Second
)

var stopSignals = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGKILL": syscall.SIGKILL,
	"SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2, "SIGTERM": syscall.SIGTERM,
}

// stoppingOf takes what a request asks for, else what the machine configures, else the defaults.
func stoppingOf(config *fly.MachineConfig, signal string, timeout time.Duration) (stopping, error) {
	if config.StopConfig != nil {
		if signal == "" && config.StopConfig.Signal != nil {
			signal = *config.StopConfig.Signal
		}
		if timeout == 0 && config.StopConfig.Timeout != nil {
			timeout = config.StopConfig.Timeout.Duration
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
		return stopping{}, refuse(http.StatusBadRequest, "invalid_argument: unknown signal %q", signal)
	}
	return stopping{signal: number, timeout: timeout}, nil
}
