package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"flydeploy/fly/local/isolation"
)

// Exec runs a command in a started machine. When ctx ends, or the fleet, the command is killed.
func (m *Machine) Exec(ctx context.Context, command []string, stdin string) (isolation.Result, error) {
	vm := m.running()
	if vm == nil {
		return isolation.Result{}, fmt.Errorf("%w: machine is not started, current state: '%s'", ErrState, m.State())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.fleet.background, cancel)()
	if err := m.takeTurn(ctx); err != nil {
		return isolation.Result{}, err
	}
	defer m.endTurn()
	return vm.Exec(ctx, command, stdin)
}

func (m *Machine) takeTurn(ctx context.Context) error {
	if !m.fleet.config.ExecsInTurn {
		return nil
	}
	select {
	case m.execs <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Machine) endTurn() {
	if m.fleet.config.ExecsInTurn {
		<-m.execs
	}
}

// Dial connects to a port that a started machine listens on, as the machine's configuration numbers it.
func (f *Fleet) Dial(ctx context.Context, id string, port int) (net.Conn, error) {
	m, ok := f.Get(id)
	if !ok {
		return nil, fmt.Errorf("dial machine %s: no such machine", id)
	}
	vm := m.running()
	if vm == nil {
		return nil, fmt.Errorf("dial machine %s: it is %s: %w", id, m.State(), syscall.ECONNREFUSED)
	}
	conn, err := vm.Dial(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("dial machine %s: %w", id, err)
	}
	return conn, nil
}

// AwaitPort asks until something in a machine listens on a port.
func (f *Fleet) AwaitPort(ctx context.Context, id string, port int) error {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		conn, err := f.Dial(ctx, id, port)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w", port, errors.Join(ctx.Err(), err))
		}
	}
}

// Console is what a machine's entrypoint has printed over all its boots, its last 64 KB.
func (f *Fleet) Console(id string) string {
	const most = 64 << 10
	text, err := os.ReadFile(f.consolePath(id))
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-most):])
}
