package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	fly "github.com/superfly/fly-go"
)

// look prints a line for each process of the machine in which it runs: process id, resident memory in KB, folder, command.
const look = `for d in /proc/[0-9]*; do
  tr '\0' '\n' <"$d/environ" 2>/dev/null | grep -qx "FLY_MACHINE_ID=$FLY_MACHINE_ID" || continue
  rss=0; while read -r key value _; do [ "$key" = VmRSS: ] && rss=$value; done <"$d/status" 2>/dev/null
  printf '%s\t%s\t%s\t%s\n' "${d#/proc/}" "$rss" "$(readlink "$d/cwd")" "$(tr '\0' ' ' <"$d/cmdline" 2>/dev/null)"
done`

// Processes gives those of a started machine, without their times and sockets; where machines are plain processes, only their numbers.
func (m *Machine) Processes(ctx context.Context) ([]fly.ProcessStat, error) {
	vm := m.running()
	if vm == nil {
		return nil, fmt.Errorf("%w: machine is not started, current state: '%s'", ErrState, m.State())
	}
	result, err := vm.Exec(ctx, []string{"/bin/sh", "-c", look}, "")
	if err != nil {
		return nil, fmt.Errorf("list the processes of machine %s: %w", m.id, err)
	}
	all := []fly.ProcessStat{}
	for line := range strings.Lines(result.Stdout) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
		pid, err := strconv.ParseInt(parts[0], 10, 32)
		if err != nil || len(parts) < 4 {
			continue
		}
		rss, _ := strconv.ParseUint(parts[1], 10, 64) // 0 if it has just ended
		all = append(all, fly.ProcessStat{
			Pid: int32(pid), Rss: rss << 10, Directory: parts[2], Command: strings.TrimSpace(parts[3]), ListenSockets: []fly.ListenSocket{},
		})
	}
	return all, nil
}

// signals are those that may be sent to a machine. Source: the API's description, SignalRequest.
var signals = map[string]syscall.Signal{
	"SIGABRT": syscall.SIGABRT, "SIGALRM": syscall.SIGALRM, "SIGFPE": syscall.SIGFPE, "SIGHUP": syscall.SIGHUP, "SIGILL": syscall.SIGILL,
	"SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL, "SIGPIPE": syscall.SIGPIPE, "SIGQUIT": syscall.SIGQUIT, "SIGSEGV": syscall.SIGSEGV,
	"SIGTERM": syscall.SIGTERM, "SIGTRAP": syscall.SIGTRAP, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2,
}

// SignalName gives the name of one of them, "" for any other.
func SignalName(number syscall.Signal) string {
	for name, n := range signals {
		if n == number {
			return name
		}
	}
	return ""
}

// Signal sends one to the entrypoint of a started machine.
func (m *Machine) Signal(name string) error {
	number, ok := signals[name]
	if !ok {
		return fmt.Errorf("%w: unknown signal %q", ErrInvalid, name)
	}
	vm := m.running()
	if vm == nil {
		return fmt.Errorf("%w: machine is not started, current state: '%s'", ErrState, m.State())
	}
	return vm.Signal(number)
}
