package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"flydeploy/fly/local/run"
)

// namespaces runs each machine in namespaces of its own for mounts, processes, network, host name and IPC.
type namespaces struct {
	diskMB   int
	services []Service
}

// newNamespaces tries a machine out: in a container, root may lack the right to do this, or the kernel the means.
func newNamespaces(folder run.Folder, diskMB int, services []Service) (Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("machines in namespaces need root")
	}
	n := &namespaces{diskMB, services}
	if err := tryNamespaces(folder.Path("trial")); err != nil {
		return nil, fmt.Errorf("machines in namespaces do not work here: %w", err)
	}
	return n, nil
}

func tryNamespaces(folder string) error {
	image := filepath.Join(folder, "image")
	if err := os.MkdirAll(image, 0o755); err != nil {
		return err
	}
	console, err := os.Create(filepath.Join(folder, "console"))
	if err != nil {
		return err
	}
	defer console.Close()
	v, err := (&namespaces{diskMB: 1}).Boot(context.Background(), Order{
		Machine: "trial", Folder: folder, Image: image, Command: []string{"/bin/sh", "-c", "test -r /proc/self/stat"},
		WorkDir: "/", Env: map[string]string{}, Console: console,
	})
	if err != nil {
		return err
	}
	if status := <-v.Exited(); status.Code != 0 {
		return fmt.Errorf("the trial ended with %d", status.Code)
	}
	return run.RemoveTree(folder)
}

func (*namespaces) Kind() Kind { return Namespaces }

// namespaceVM is one boot. Its thread lives in the machine's namespaces and starts all processes there: init, which
// keeps the namespaces alive, the entrypoint, and what exec runs. The kernel kills them all when init ends.
type namespaceVM struct {
	thread  *thread
	network *os.File // the network namespace, for threads that dial
	env     []string
	init    *exec.Cmd
	hold    *os.File // init ends when this is closed, by us or by our death
	entry   *exec.Cmd
	exit    chan Exit
	// outlets are the services' listeners inside of the machine.
	outlets []*outlet
}

func (n *namespaces) Boot(ctx context.Context, order Order) (VM, error) {
	v := &namespaceVM{exit: make(chan Exit, 1)}
	if order.Env["PORT"] == "" {
		order.Env["PORT"] = DefaultPort
	}
	v.env = environ(order.Env)
	var err error
	v.thread, err = startThread(func() error { return v.enter(order, n.diskMB) })
	if err == nil {
		if err = v.start(ctx, order, n.services); err == nil {
			go v.wait()
			return v, nil
		}
	}
	v.abandon()
	return nil, err
}

// enter runs on the machine's thread and makes it the machine's.
func (v *namespaceVM) enter(order Order, diskMB int) error {
	if err := newMachineNamespaces(); err != nil {
		return err
	}
	network, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	v.network = network
	if err := raiseLoopback(); err != nil {
		return err
	}
	if err := addPrivateAddress(order.Env["FLY_PRIVATE_IP"]); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(order.Machine)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return mountMachine(order, diskMB)
}

func newMachineNamespaces() error {
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := unix.Unshare(all); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	return nil
}

func (v *namespaceVM) start(ctx context.Context, order Order, services []Service) error {
	if err := v.startInit(); err != nil {
		return err
	}
	for _, service := range services {
		if err := v.expose(ctx, service); err != nil {
			return err
		}
	}
	return v.thread.do(func() error {
		path, err := findCommand(order.Command[0], order.Env["PATH"])
		if err != nil {
			return fmt.Errorf("start entrypoint: %w", err)
		}
		v.entry = &exec.Cmd{
			Path: path, Args: order.Command, Dir: order.WorkDir, Env: v.env, Stdout: order.Console, Stderr: order.Console,
			SysProcAttr: &syscall.SysProcAttr{
				Setsid:     true,
				Credential: &syscall.Credential{Uid: User, Gid: User},
			},
		}
		if err := v.entry.Start(); err != nil {
			v.entry = nil
			return fmt.Errorf("start entrypoint: %w", err)
		}
		return nil
	})
}

// initScript is process 1. It ends when we close the other end of its input, or die. With SIGCHLD ignored the kernel
// reaps orphans; only GNU's env can ask for that, dash's trap does not.
const initScript = `mount -n -t proc proc /proc && echo up && exec >/dev/null || exit 1
env --ignore-signal=CHLD true 2>/dev/null && exec env --ignore-signal=CHLD cat
exec cat`

func (v *namespaceVM) startInit() error {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	v.hold = hold
	up, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer up.Close()
	err = v.thread.do(func() error {
		v.init = &exec.Cmd{
			Path: "/bin/sh", Args: []string{"init", "-c", initScript}, Dir: "/", Env: v.env, Stdin: stdin, Stdout: stdout, Stderr: stdout,
			// The thread ends with our process, should the pipe not be noticed.
			SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
		}
		return v.init.Start()
	})
	stdout.Close()
	if err != nil {
		v.init = nil
		return fmt.Errorf("start init: %w", err)
	}
	answer := make([]byte, 200)
	if n, _ := up.Read(answer); string(answer[:n]) != "up\n" {
		return fmt.Errorf("start init: it said %q", answer[:n])
	}
	return nil
}

// wait reaps the entrypoint and then ends whatever is left of the machine.
func (v *namespaceVM) wait() {
	_ = v.entry.Wait() // told by ProcessState
	status := exitOf(v.entry.ProcessState)
	v.abandon()
	v.exit <- status
}

// abandon ends everything, as far as a boot had come. The entrypoint has been reaped or was never started.
func (v *namespaceVM) abandon() {
	for _, o := range v.outlets {
		_ = o.Close()
	}
	if v.init != nil {
		_ = v.init.Process.Kill()
		_ = v.init.Wait() // its end waits for every other process of the namespace
	}
	if v.hold != nil {
		_ = v.hold.Close()
	}
	if v.thread != nil {
		v.thread.end()
	}
	if v.network != nil {
		_ = v.network.Close()
	}
}

func (v *namespaceVM) Exited() <-chan Exit             { return v.exit }
func (v *namespaceVM) Kill()                           { _ = v.init.Process.Kill() } // fails only if it has ended
func (v *namespaceVM) Signal(sig syscall.Signal) error { return v.entry.Process.Signal(sig) }

// Freeze signals all processes but init and the shell that does it, in one step of the kernel.
func (v *namespaceVM) Freeze(frozen bool) error {
	sig := "CONT"
	if frozen {
		sig = "STOP"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	result, err := v.Exec(ctx, []string{"/bin/sh", "-c", "kill -" + sig + " -1"}, "")
	if err == nil && result.ExitCode != 0 {
		err = errors.New(result.Stderr)
	}
	return err
}

func (v *namespaceVM) Exec(ctx context.Context, command []string, stdin string) (Result, error) {
	return runCommand(ctx, stdin, func(cmd *exec.Cmd) error {
		return v.thread.do(func() error {
			path, err := findCommand(command[0], lookup(v.env, "PATH"))
			if err != nil {
				return err
			}
			cmd.Path, cmd.Args, cmd.Dir, cmd.Env = path, command, "/", v.env
			return cmd.Start()
		})
	})
}
