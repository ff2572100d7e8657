package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flydeploy/engine"
)

const (
	nobody   = 65534
	stranger = 54321
)

// openFolder makes a folder that every user can read.
func openFolder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	dir, err := os.MkdirTemp("/tmp", "flydeploy-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// users is a machine on which processes look like the VM of a release named shop.
type users struct {
	*node
	dir string
}

func newUsers(t *testing.T) *users {
	t.Helper()
	dir := openFolder(t)
	id := filepath.Base(dir)
	return &users{&node{t: t, env: []string{"PATH=" + os.Getenv("PATH"), "FLY_MACHINE_ID=" + id}}, dir}
}

// release makes a folder of a release, the files of owner. Its program tells what it runs as.
func (u *users) release(name string, owner int) string {
	u.t.Helper()
	root := filepath.Join(u.dir, name)
	const program = "#!/bin/sh\necho FLYDEPLOY1 who $(id -u) $(id -g) $MARK $RELEASE_ROOT $1\n"
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "bin"), 0o755), os.MkdirAll(filepath.Join(root, "releases", "1"), 0o755),
		os.WriteFile(filepath.Join(root, "bin", "shop"), []byte(program), 0o755),
		exec.Command("chown", "-R", fmt.Sprintf("%d:%d", owner, owner), root).Run(),
	} {
		if err != nil {
			u.t.Fatal(err)
		}
	}
	return root
}

// runs starts a process of a user that looks like the VM of the release in root, and is the program at path.
func (u *users) runs(uid uint32, root, path string) {
	u.t.Helper()
	cmd := exec.Command(path, "600")
	cmd.Env = append(slices.Clone(u.env), "RELEASE_COMMAND=start", "RELEASE_NAME=shop", "RELEASE_ROOT="+root, "MARK=a'b\"c", "AWS_REGION="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// beam gives the path of a program named beam.smp, that waits.
func (u *users) beam() string {
	u.t.Helper()
	path := filepath.Join(u.dir, "beam.smp")
	if out, err := exec.Command("sh", "-c", `cp "$(command -v sleep)" "$1"`, "sh", path).CombinedOutput(); err != nil {
		u.t.Fatalf("%v: %s", err, out)
	}
	return path
}

func (u *users) discover(of engine.Release) (VM, error) {
	return Discover(u.t.Context(), u.realExec, of)
}

// await gives what is found once all processes have become their programs.
func (u *users) await(of engine.Release, isIt func(VM, error) bool) (vm VM, err error) {
	for range 100 {
		if vm, err = u.discover(of); isIt(vm, err) {
			return vm, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	u.t.Fatalf("found %+v, %v", vm, err)
	return vm, err
}

func found(_ VM, err error) bool { return err == nil }

func TestProgramsRunAsTheirOwnUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		runs, owns uint32
		as         string
	}{
		{0, 0, "0"}, {nobody, nobody, "65534"}, {nobody, 0, "65534"}, {0, nobody, "65534"}, {stranger, stranger, "54321"},
	} {
		u := newUsers(t)
		root := u.release("app", int(test.owns))
		u.runs(test.runs, root, u.beam())
		vm, _ := u.await(engine.Release{}, found)
		out, err := run(t.Context(), u.realExec, quick, "asking", shell(scriptRPC, vm.enter("", "program")...))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(out[0])
		if len(fields) != 7 || fields[2] != test.as || (fields[3] == "0") != (test.as == "0") || fields[4] != `a'b"c` || fields[5] != root || fields[6] != "rpc" {
			t.Errorf("run by %d, files of %d: %q", test.runs, test.owns, out)
		}
		if env, err := StorageEnv(t.Context(), u.realExec, vm); err != nil || env["AWS_REGION"] != root {
			t.Errorf("run by %d, files of %d: %v %v", test.runs, test.owns, env, err)
		}
	}
}

// withoutSetpriv is a PATH with all that the scripts need, except setpriv and what is left out.
func (u *users) withoutSetpriv(leftOut string) string {
	u.t.Helper()
	bin := filepath.Join(u.dir, "without-"+leftOut)
	if err := os.Mkdir(bin, 0o755); err != nil {
		u.t.Fatal(err)
	}
	for _, name := range []string{"sh", "cat", "cut", "head", "id", "ls", "readlink", "sed", "su", "tr"} {
		if path, err := exec.LookPath(name); err == nil && name != leftOut {
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				u.t.Fatal(err)
			}
		}
	}
	return "PATH=" + bin
}

func TestUsersAreChangedBySuAsWell(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	u.runs(nobody, u.release("app", 0), u.beam())
	vm, _ := u.await(engine.Release{}, found)
	u.env[0] = u.withoutSetpriv("")
	out, err := run(t.Context(), u.realExec, quick, "asking", shell(scriptRPC, vm.enter("", "program")...))
	if err != nil || !strings.HasPrefix(out[0], "FLYDEPLOY1 who 65534 ") || !strings.HasSuffix(out[0], " rpc") {
		t.Errorf("by su: %q %v", out, err)
	}
	u.env[0] = u.withoutSetpriv("su")
	_, err = Inject(t.Context(), u.realExec, vm, longOrder())
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Name != "no_user" || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("by nothing: %v", err)
	}
	if _, err = StorageEnv(t.Context(), u.realExec, vm); !errors.As(err, &refusal) {
		t.Errorf("by nothing: %v", err)
	}
}

func TestStrangersAreNoReleases(t *testing.T) {
	t.Parallel()
	u := newUsers(t)
	app, beam := u.release("app", nobody), u.beam()

	// Another program under the name of a BEAM.
	link := filepath.Join(u.dir, "link")
	if err := errors.Join(os.Mkdir(link, 0o755), exec.Command("sh", "-c", `ln -s "$(command -v sleep)" "$1/beam.smp"`, "sh", link).Run()); err != nil {
		t.Fatal(err)
	}
	u.runs(stranger, u.release("elsewhere", stranger), filepath.Join(link, "beam.smp"))
	// The machine's release, run by somebody whose it is not.
	u.runs(stranger, app, beam)
	_, err := u.await(engine.Release{}, func(_ VM, err error) bool { return err != nil && strings.Contains(err.Error(), "not trusted") })
	if want := fmt.Sprintf("of user %d) is not trusted: the folder belongs to user %d", stranger, nobody); !errors.Is(err, ErrNoVM) || !strings.Contains(err.Error(), want) {
		t.Errorf("strangers alone: %v", err)
	}
	u.runs(nobody, app, beam)
	vm, _ := u.await(engine.Release{}, found)
	if vm.Root != app {
		t.Errorf("beside strangers: %+v", vm)
	}

	// A release of the same name that is the stranger's own.
	theirs := u.release("theirs", stranger)
	u.runs(stranger, theirs, beam)
	_, err = u.await(engine.Release{}, func(_ VM, err error) bool { return err != nil })
	if err == nil || !strings.Contains(err.Error(), "shop in "+app) || !strings.Contains(err.Error(), "shop in "+theirs) {
		t.Errorf("two releases: %v", err)
	}
	if again, err := u.discover(engine.Release{Root: app}); again != vm {
		t.Errorf("with --release-root: %+v %v", again, err)
	}
}

// As on Fly: exec is root, the VM is a user's who owns the release.
func TestUpgradeOfAnUnprivilegedUser(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	n := copyRelease(t, dir, "ledger", releases[1])
	const own = `cp -a "$1"/app "$1"/own && rm -r "$1"/app && mv "$1"/own "$1"/app && chown -R "$2" "$1"` // also what was linked
	if out, err := exec.Command("sh", "-c", own, "sh", dir, strconv.Itoa(nobody)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	n.start()
	s, staged := n.orderBy(n.realExec, orderOf(t, tarballOf(t, 2).bytes))
	if staged.State != Staged {
		t.Fatalf("staging: %s %v", staged.State, staged.Error)
	}
	checkCommit(t, n.commit(s, staged))
	if c, err := Loaded(t.Context(), n.realExec, n.vm); err != nil || c.DriftedTotal != 0 {
		t.Errorf("%+v %v", c, err)
	}
}
