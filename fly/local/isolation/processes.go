package isolation

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"flydeploy/fly/local/run"
)

// processes runs machines as plain processes of this user, side by side. What namespaces would hide from each other is
// kept apart by other means: folders (paths.go), ports, an epmd for each machine, a cookie that nobody else has.
type processes struct {
	run    run.Folder // its mark is on every process
	cookie string
}

func newProcesses(folder run.Folder) Host {
	return &processes{run: folder, cookie: strings.ToLower(rand.Text())}
}

func (*processes) Kind() Kind { return Processes }

// processVM is one boot.
type processVM struct {
	machine string
	groups  run.Groups
	paths   machinePaths
	env     []string
	ports   map[int]int // as numbered inside of the machine, and really
	entry   *exec.Cmd
	epmd    *exec.Cmd // nil without a BEAM
	exit    chan Exit
	// commands are what exec runs at the moment, by process group.
	mu       sync.Mutex
	commands map[int]bool
	proc     procFolder
}

func (p *processes) Boot(ctx context.Context, order Order) (VM, error) {
	folder, err := filepath.EvalSymlinks(order.Folder) // as a release's `pwd -P` tells it
	if err != nil {
		return nil, err
	}
	v := &processVM{
		machine: order.Machine, groups: p.run.Groups(), paths: machinePaths(folder), commands: map[int]bool{},
		exit: make(chan Exit, 1),
	}
	if err := v.paths.prepare(order.Image); err != nil {
		return nil, fmt.Errorf("prepare the machine's folders: %w", err)
	}
	env, epmdPort, err := v.environment(order, p)
	if err != nil {
		return nil, err
	}
	v.env = environ(env)
	if err := v.startEpmd(epmdPort, env["ERL_EPMD_ADDRESS"]); err != nil {
		return nil, err
	}
	command := v.paths.mapAll(order.Command)
	path, err := findCommand(command[0], env["PATH"])
	if err == nil {
		v.entry = &exec.Cmd{
			Path: path, Args: command, Dir: v.paths.mapped(order.WorkDir), Env: v.env, Stdout: order.Console, Stderr: order.Console,
		}
		err = v.groups.Start(v.entry)
	}
	if err != nil {
		v.endAll()
		return nil, fmt.Errorf("start entrypoint: %w", err)
	}
	go v.wait()
	return v, nil
}

// environment adds what keeps the machine apart from others: its ports, its node's name, its folder for temporary files.
func (v *processVM) environment(order Order, p *processes) (env map[string]string, epmdPort string, err error) {
	env = map[string]string{}
	for name, value := range order.Env {
		env[name] = v.paths.mapped(value)
	}
	inside := env["PORT"]
	if inside == "" {
		inside = DefaultPort
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
	node, err := nodeAddress(filepath.Join(string(v.paths), "app"), env)
	if err != nil {
		return nil, "", err
	}
	for name, value := range map[string]string{
		run.MarkName:           p.run.MarkValue(),
		"PORT":                 strconv.Itoa(ports[0]),
		"TMPDIR":               filepath.Join(string(v.paths), "tmp"),
		"ERL_EPMD_PORT":        epmdPort,
		"ERL_EPMD_ADDRESS":     node.ip,
		"ERL_ZFLAGS":           "-start_epmd false -kernel inet_dist_use_interface " + node.erlang,
		"RELEASE_DISTRIBUTION": "name", // by its address: no name need be known, as where there is no /etc/hosts
		"RELEASE_NODE":         filepath.Base(order.Command[0]) + "@" + node.ip,
		"FLY_PRIVATE_IP":       node.ip, // of which rel/env.sh.eex makes a node's name: Fly's own address leads nowhere here
		"RELEASE_COOKIE":       p.cookie,
	} {
		env[name] = value
	}
	return env, epmdPort, nil
}

// freePorts asks the kernel for ports. They differ from each other.
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

// startEpmd starts the port mapper of the release's own Erlang, or else of this computer's, in the foreground, so that it can be ended.
func (v *processVM) startEpmd(port, address string) error {
	path, err := v.findEpmd()
	if err != nil || path == "" {
		return err
	}
	epmd := &exec.Cmd{Path: path, Args: []string{"epmd", "-port", port, "-address", address}, Env: v.env}
	if err := v.groups.Start(epmd); err != nil {
		return fmt.Errorf("start epmd: %w", err)
	}
	v.epmd = epmd
	return nil
}

// findEpmd gives "" where the image has no Erlang release.
func (v *processVM) findEpmd() (string, error) {
	app := filepath.Join(string(v.paths), "app")
	own, err := filepath.Glob(filepath.Join(app, "erts-*", "bin", "epmd"))
	if err != nil || len(own) > 0 {
		return strings.Join(own[:min(1, len(own))], ""), err
	}
	vm, err := filepath.Glob(filepath.Join(app, "erts-*"))
	if _, none := os.Stat(filepath.Join(app, "releases", "start_erl.data")); err != nil || len(vm) > 0 || none != nil {
		return "", err
	}
	return findCommand("epmd", lookup(v.env, "PATH"))
}

// wait reaps the entrypoint and then ends whatever is left of the machine.
func (v *processVM) wait() {
	_ = v.entry.Wait() // told by ProcessState
	status := exitOf(v.entry.ProcessState)
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
		v.groups.Forget(v.epmd.Process.Pid)
	}
	if v.entry != nil && v.entry.Process != nil {
		v.groups.Forget(v.entry.Process.Pid)
	}
	for start := time.Now(); time.Since(start) < killedWithin && len(run.Marked("FLY_MACHINE_ID="+v.machine)) > 0; {
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
	run.SignalMarked("FLY_MACHINE_ID="+v.machine, sig)
}

func (v *processVM) Exited() <-chan Exit             { return v.exit }
func (v *processVM) Kill()                           { v.signalAll(syscall.SIGKILL) }
func (v *processVM) Signal(sig syscall.Signal) error { return v.entry.Process.Signal(sig) }

func (v *processVM) Freeze(frozen bool) error {
	if frozen {
		v.signalAll(syscall.SIGSTOP)
	} else {
		v.signalAll(syscall.SIGCONT)
	}
	return nil
}

func (v *processVM) Dial(ctx context.Context, port int) (net.Conn, error) {
	if outside, ok := v.ports[port]; ok {
		port = outside
	}
	return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

func (v *processVM) Exec(ctx context.Context, command []string, stdin string) (Result, error) {
	if err := v.proc.update(v.paths, v.machine, v.env); err != nil {
		return Result{}, fmt.Errorf("write the machine's /proc: %w", err)
	}
	command = v.paths.mapAll(command)
	group := 0
	defer func() {
		v.mu.Lock()
		delete(v.commands, group)
		v.mu.Unlock()
		v.groups.Forget(group)
	}()
	result, err := runCommand(ctx, stdin, func(cmd *exec.Cmd) error {
		path, err := findCommand(command[0], lookup(v.env, "PATH"))
		if err != nil {
			return err
		}
		cmd.Path, cmd.Args, cmd.Dir, cmd.Env = path, command, string(v.paths), v.env
		v.mu.Lock()
		defer v.mu.Unlock()
		if err := v.groups.Start(cmd); err != nil {
			return err
		}
		group = cmd.Process.Pid
		v.commands[group] = true
		return nil
	})
	result.Stdout, result.Stderr = v.paths.unmapped(result.Stdout), v.paths.unmapped(result.Stderr)
	return result, err
}
