package local

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// processes runs machines as plain processes of this user, side by side. What namespaces hide from each other is kept
// apart by other means: folders (paths.go), ports, an epmd for each machine, a cookie that nobody else has.
type processes struct {
	run    string // name of the run, which marks every process
	groups groupRecords
	cookie string
}

func newProcesses(folder string) (isolation, error) {
	return &processes{run: filepath.Base(folder), groups: groupRecords(filepath.Join(folder, groupsFolder)), cookie: randomName(32)}, nil
}

func (*processes) kind() Isolation { return Processes }

// processVM is one boot.
type processVM struct {
	machine string
	groups  groupRecords
	paths   machinePaths
	env     []string
	ports   map[int]int // as numbered inside of the machine, and really
	entry   *exec.Cmd
	epmd    *exec.Cmd // nil without a BEAM
	exit    chan exitStatus
	// commands are what exec runs at the moment, by process group.
	mu       sync.Mutex
	commands map[int]bool
	proc     procFolder
}

func (p *processes) boot(ctx context.Context, order bootOrder) (vm, error) {
	folder, err := filepath.EvalSymlinks(order.folder) // as a release's `pwd -P` tells it
	if err != nil {
		return nil, err
	}
	v := &processVM{
		machine: order.machine, groups: p.groups, paths: machinePaths(folder), commands: map[int]bool{},
		exit: make(chan exitStatus, 1),
	}
	if err := v.paths.prepare(order.image); err != nil {
		return nil, fmt.Errorf("prepare the machine's folders: %w", err)
	}
	env, epmdPort, err := v.environment(order, p)
	if err != nil {
		return nil, err
	}
	v.env = environ(env)
	if err := v.startEpmd(epmdPort); err != nil {
		return nil, err
	}
	command := v.paths.mapAll(order.command)
	path, err := findCommand(command[0], env["PATH"])
	if err == nil {
		v.entry = &exec.Cmd{
			Path: path, Args: command, Dir: v.paths.mapped(order.workDir), Env: v.env, Stdout: order.console, Stderr: order.console,
		}
		err = v.groups.start(v.entry)
	}
	if err != nil {
		v.endAll()
		return nil, fmt.Errorf("start entrypoint: %w", err)
	}
	go v.wait()
	return v, nil
}

// environment adds what keeps the machine apart from others: its ports, its node's name, its temporary folder.
func (v *processVM) environment(order bootOrder, p *processes) (env map[string]string, epmdPort string, err error) {
	env = map[string]string{}
	for name, value := range order.env {
		env[name] = v.paths.mapped(value)
	}
	inside := env["PORT"]
	if inside == "" {
		inside = defaultPort
	}
	number, err := strconv.Atoi(inside)
	if err != nil {
		return nil, "", fmt.Errorf("PORT: %w", err)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, "", err
	}
	v.ports = map[int]int{number: ports[0]}
	epmdPort = strconv.Itoa(ports[1])
	for name, value := range map[string]string{
		runMark:                p.run,
		"PORT":                 strconv.Itoa(ports[0]),
		"TMPDIR":               filepath.Join(string(v.paths), "tmp"),
		"ERL_EPMD_PORT":        epmdPort,
		"ERL_EPMD_ADDRESS":     "127.0.0.1",
		"ERL_ZFLAGS":           "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
		"RELEASE_DISTRIBUTION": "sname",
		"RELEASE_NODE":         filepath.Base(order.command[0]) + "@localhost",
		"RELEASE_COOKIE":       p.cookie,
	} {
		env[name] = value
	}
	return env, epmdPort, nil
}

// freePorts asks the kernel for ports, all different.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// startEpmd starts the port mapper of the release's own Erlang, in the foreground, so that it can be ended.
func (v *processVM) startEpmd(port string) error {
	found, err := filepath.Glob(filepath.Join(string(v.paths), "app", "erts-*", "bin", "epmd"))
	if err != nil || len(found) == 0 {
		return err
	}
	epmd := &exec.Cmd{Path: found[0], Args: []string{"epmd", "-port", port, "-address", "127.0.0.1"}, Env: v.env}
	if err := v.groups.start(epmd); err != nil {
		return fmt.Errorf("start epmd: %w", err)
	}
	v.epmd = epmd
	return nil
}

// wait reaps the entrypoint and then ends all the rest.
func (v *processVM) wait() {
	_ = v.entry.Wait() // told by ProcessState
	status := exitStatusOf(v.entry.ProcessState)
	v.endAll()
	v.exit <- status
}

// killedWithin bounds the wait for processes that were killed: their memory may take a while to go.
const killedWithin = 10 * time.Second

// endAll kills and reaps what is left of the machine, and waits until it is gone.
func (v *processVM) endAll() {
	v.signalAll(syscall.SIGKILL)
	if v.epmd != nil {
		_ = v.epmd.Wait()
		v.groups.forget(v.epmd.Process.Pid)
	}
	if v.entry != nil && v.entry.Process != nil {
		v.groups.forget(v.entry.Process.Pid)
	}
	for start := time.Now(); time.Since(start) < killedWithin && len(marked("FLY_MACHINE_ID="+v.machine)) > 0; {
		time.Sleep(5 * time.Millisecond) // children of the VM are not ours to wait for
	}
}

// signalAll signals every process of the machine, also those that start meanwhile.
func (v *processVM) signalAll(sig syscall.Signal) {
	for _, cmd := range []*exec.Cmd{v.entry, v.epmd} {
		if cmd != nil && cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, sig) // fails if it has ended
		}
	}
	v.mu.Lock()
	for group := range v.commands {
		_ = syscall.Kill(-group, sig)
	}
	v.mu.Unlock()
	signalMarked("FLY_MACHINE_ID="+v.machine, sig)
}

func (v *processVM) exited() <-chan exitStatus       { return v.exit }
func (v *processVM) kill()                           { v.signalAll(syscall.SIGKILL) }
func (v *processVM) signal(sig syscall.Signal) error { return v.entry.Process.Signal(sig) }

func (v *processVM) freeze(frozen bool) error {
	if frozen {
		v.signalAll(syscall.SIGSTOP)
	} else {
		v.signalAll(syscall.SIGCONT)
	}
	return nil
}

func (v *processVM) dial(ctx context.Context, port int) (net.Conn, error) {
	if outside, ok := v.ports[port]; ok {
		port = outside
	}
	return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

func (v *processVM) exec(ctx context.Context, command []string, stdin string) (ExecResult, error) {
	if err := v.proc.update(v.paths, v.machine, v.env); err != nil {
		return ExecResult{}, fmt.Errorf("write the machine's /proc: %w", err)
	}
	command = v.paths.mapAll(command)
	group := 0
	defer func() {
		v.mu.Lock()
		delete(v.commands, group)
		v.mu.Unlock()
		v.groups.forget(group)
	}()
	result, err := runCommand(ctx, stdin, func(cmd *exec.Cmd) error {
		path, err := findCommand(command[0], lookup(v.env, "PATH"))
		if err != nil {
			return err
		}
		cmd.Path, cmd.Args, cmd.Dir, cmd.Env = path, command, string(v.paths), v.env
		v.mu.Lock()
		defer v.mu.Unlock()
		if err := v.groups.start(cmd); err != nil {
			return err
		}
		group = cmd.Process.Pid
		v.commands[group] = true
		return nil
	})
	result.Stdout, result.Stderr = v.paths.unmapped(result.Stdout), v.paths.unmapped(result.Stderr)
	return result, err
}
