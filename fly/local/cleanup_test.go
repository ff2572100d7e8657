package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/registry"
	"flydeploy/fly/local/run"
)

// ownerVariable turns the test's binary into the owner of a Fly that is to be killed: ISOLATION:STATE FOLDER:RELEASE.
const ownerVariable = "FLYDEPLOY_LOCAL_TEST_OWNER"

// owner is the owner's main: it launches two machines, tells their ids and its shepherd's process id, and waits to be
// killed.
func owner(order string) error {
	parts := strings.SplitN(order, ":", 3)
	ctx := context.Background()
	f, err := Start(ctx, Options{App: "sample", StateDir: parts[1], Isolation: Isolation(parts[0])})
	if err != nil {
		return err
	}
	image, err := f.Push(ctx, parts[2], "")
	if err != nil {
		return err
	}
	var ids []string
	for range 2 {
		id, err := f.Launch(ctx, MachineSpec{Image: image.Ref})
		if err != nil {
			return err
		}
		m, _ := f.machines.Get(id)
		if strings.HasPrefix(filepath.Base(parts[2]), "release-") { // with a BEAM, unlike shellRelease's
			if err := f.machines.AwaitPort(ctx, m.ID(), 8080); err != nil {
				return err
			}
		}
		// A daemon in a session of its own is the machine's too.
		if _, err := m.Exec(ctx, []string{"/bin/sh", "-c", "$(command -v setsid || echo nohup) sleep 300 </dev/null >/dev/null 2>&1 &"}, ""); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	fmt.Println(f.shepherd.PID(), strings.Join(ids, " "))
	select {}
}

// startOwner returns the owner, its shepherd's process id and its machines'.
func startOwner(t *testing.T, isolation Isolation, state, release string) (cmd *exec.Cmd, shepherd int, machines []string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(executable)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%s:%s", ownerVariable, isolation, state, release))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner said %q: %v", line, err)
	}
	words := strings.Fields(line)
	if _, err := fmt.Sscan(words[0], &shepherd); err != nil {
		t.Fatal(err)
	}
	return cmd, shepherd, words[1:]
}

func runFolders(t *testing.T, state string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(state, run.FolderPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func processesOf(machines []string) int {
	count := 0
	for _, id := range machines {
		count += len(run.Marked("FLY_MACHINE_ID=" + id))
	}
	return count
}

// A Fly whose process is killed leaves no process, no mount and no folder.
func TestKilledOwner(t *testing.T) {
	inEachIsolation(t, func(t *testing.T, isolation Isolation) {
		state := t.TempDir()
		release, err := sampleRelease()
		if err != nil {
			t.Fatal(err)
		}
		cmd, _, machines := startOwner(t, isolation, state, release)
		if running := processesOf(machines); running < 4 {
			t.Fatalf("%d processes of two machines are found", running)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		until(t, "nothing of the run is left", func(context.Context) (bool, string) {
			running, folders := processesOf(machines), runFolders(t, state)
			return running == 0 && len(folders) == 0, fmt.Sprint(running, " processes, folders ", folders)
		})
		if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil && strings.Contains(string(mounts), state) {
			t.Errorf("mounts are left:\n%s", mounts)
		}
	})
}

// Should the shepherd die with the owner, the next start ends what is left.
func TestNextStartSweeps(t *testing.T) {
	inEachIsolation(t, func(t *testing.T, isolation Isolation) {
		state := t.TempDir()
		cmd, shepherd, machines := startOwner(t, isolation, state, shellRelease(t))
		if err := syscall.Kill(-shepherd, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if left := runFolders(t, state); len(left) != 1 {
			t.Fatalf("folders of the killed run: %q", left)
		}
		f := startFly(t, Options{Isolation: isolation, StateDir: state})
		if left := runFolders(t, state); len(left) != 1 || left[0] != string(f.folder) {
			t.Errorf("folders are %q, the new run's is %s", left, f.folder)
		}
		until(t, "no process of the killed run is left", func(context.Context) (bool, string) {
			running := processesOf(machines)
			return running == 0, fmt.Sprint(running)
		})
	})
}

// A start leaves the folders of owners that live, and what is no run's folder.
func TestStartLeavesOthersAlone(t *testing.T) {
	state := t.TempDir()
	first := startFly(t, Options{Isolation: Processes, StateDir: state})
	if err := os.Mkdir(filepath.Join(state, "run-of-the-mill"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := startFly(t, Options{Isolation: Processes, StateDir: state})
	for _, folder := range []string{string(first.folder), string(second.folder), filepath.Join(state, "run-of-the-mill")} {
		if _, err := os.Stat(folder); err != nil {
			t.Error(err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	inEachIsolation(t, func(t *testing.T, isolation Isolation) {
		state := t.TempDir()
		f := startFly(t, Options{Isolation: isolation, StateDir: state, NoRateLimits: true})
		machines := []string{
			launchShell(t, f, MachineSpec{}),
			launchShell(t, f, MachineSpec{State: fly.MachineStateSuspended, NoService: true}),
		}
		execWords(t, f, machines[0], "/bin/sh", "-c", "$(command -v setsid || echo nohup) sleep 300 </dev/null >/dev/null 2>&1 &")
		shepherd := f.shepherd.PID()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if running := processesOf(machines); running != 0 {
			t.Errorf("%d processes are left", running)
		}
		if _, err := run.ProcessStarted(shepherd); err == nil {
			t.Error("the shepherd is left")
		}
		if left := runFolders(t, state); len(left) != 0 {
			t.Errorf("folders are left: %q", left)
		}
		if _, err := f.Launch(t.Context(), MachineSpec{Image: registry.Host + "/sample:any"}); err == nil {
			t.Error("launched a machine on a closed Fly")
		}
	})
}
