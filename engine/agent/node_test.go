package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flydeploy/engine"
)

// testFolder is for what all tests share; it ends with them.
var testFolder string

// epmdPort is where the test's own epmd listens, started once.
var epmdPort string

// releases holds the folders of testdata/ledger's releases by version; built once for all tests.
var releases = map[int]string{}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flydeploy-agent-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	testFolder = dir
	for v := 1; v <= 3; v++ {
		releases[v] = buildLedger(dir, v)
	}
	epmdPort = freePort()
	epmd := exec.Command("epmd", "-port", epmdPort, "-address", "127.0.0.1")
	epmd.SysProcAttr = endWithParent()
	if err := epmd.Start(); err != nil {
		panic(err)
	}
	defer func() { _ = epmd.Process.Kill(); _ = epmd.Wait() }()
	defer endIdle()
	return m.Run()
}

func buildLedger(dir string, version int) string {
	build := filepath.Join(dir, fmt.Sprintf("ledger-%d", version))
	return buildRelease("ledger", build, "LEDGER="+strconv.Itoa(version), "LEDGER_BUILD="+build)
}

// buildRelease builds the release of testdata/name below the folder build and gives its root.
func buildRelease(name, build string, env ...string) string {
	cmd := exec.Command("mix", "release", "--quiet")
	cmd.Dir = filepath.Join("testdata", name)
	cmd.Env = append(append(os.Environ(), "MIX_ENV=prod"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the test release: %v\n%s", err, out))
	}
	return filepath.Join(build, "prod", "rel", name)
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// node is a VM that runs a copy of a test release, as a plain process.
type node struct {
	t    testing.TB
	app  string // also the release's name
	root string
	env  []string
	cmd  *exec.Cmd
	vm   VM
	// control is the path of the socket that Ledger.Control listens on.
	control string
	log     *bytes.Buffer
}

func startNode(t *testing.T, version int, extraEnv ...string) *node {
	t.Helper()
	return startRelease(t, "ledger", releases[version], extraEnv...)
}

// startRelease starts a copy of the release app that lies in the folder release.
func startRelease(t testing.TB, app, release string, extraEnv ...string) *node {
	t.Helper()
	n := copyRelease(t, t.TempDir(), app, release, extraEnv...)
	n.start()
	return n
}

// noBusyWaiting are flags of VMs that share a computer: their schedulers wait without using it.
const noBusyWaiting = " +sbwt none +sbwtdcpu none +sbwtdio none"

// copyRelease puts a copy of a release into dir, with what its VM needs beside it. Erlang, Elixir and what else nobody writes into is linked.
func copyRelease(t testing.TB, dir, app, release string, extraEnv ...string) *node {
	t.Helper()
	root := filepath.Join(dir, "app")
	const copying = `cp -al "$1" "$2" && cd "$2" && rm -r releases lib/"$3"-* && cp -a "$1"/releases . && cp -a "$1"/lib/"$3"-* lib`
	if out, err := exec.Command("sh", "-c", copying, "sh", release, root, app).CombinedOutput(); err != nil {
		t.Fatalf("copying the release: %v\n%s", err, out)
	}
	flags := "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
	if _, bench := t.(*testing.B); !bench {
		flags += noBusyWaiting
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	id := filepath.Base(dir) + strconv.FormatInt(time.Now().UnixNano(), 36)
	n := &node{t: t, app: app, root: root, env: append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8", "TMPDIR=" + tmp, "FLY_MACHINE_ID=" + id,
	}, extraEnv...)}
	n.control = filepath.Join(tmp, "control")
	n.cmd = exec.Command(filepath.Join(root, "bin", app), "start")
	n.cmd.Env = append([]string{
		"LEDGER_CONTROL=" + n.control,
		"RELEASE_DISTRIBUTION=name", "RELEASE_NODE=" + app + "-" + id + "@127.0.0.1", "RELEASE_COOKIE=" + id, "ERL_EPMD_PORT=" + epmdPort,
		"ERL_ZFLAGS=" + flags, "AWS_ACCESS_KEY_ID=key", "AWS_REGION=auto", "BUCKET_NAME=b=c",
	}, n.env...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return n
}

// start starts the VM and waits for it. It ends with the test.
func (n *node) start() {
	n.t.Helper()
	n.boot()
	n.t.Cleanup(n.end)
	n.awaitBoot()
}

func (n *node) boot() {
	n.t.Helper()
	n.log = &bytes.Buffer{}
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) kill() {
	_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
	_ = n.cmd.Wait()
}

// end ends the VM, and shows its log where the test has failed.
func (n *node) end() {
	n.kill()
	if n.t.Failed() {
		n.t.Logf("the node's log:\n%s", n.log.String())
	}
}

// awaitBoot waits for the control socket, which is the last thing that the application opens.
func (n *node) awaitBoot() {
	n.t.Helper()
	deadline := time.Now().Add(4 * time.Minute)
	for {
		if conn, err := net.Dial("unix", n.control); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			n.t.Fatal("the node does not boot")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n.vm != (VM{}) {
		return
	}
	vm, err := Discover(n.t.Context(), n.exec, engine.Release{})
	if err != nil {
		n.t.Fatal(err)
	}
	n.vm = vm
}

// exec is realExec, except that what bin/NAME rpc would evaluate goes through the control socket, which costs a tenth.
func (n *node) exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	if len(command) == 11 && command[2] == scriptRPC && command[6] == n.vm.Start {
		n.checkSize(command, stdin)
		return engine.Output{Stdout: n.eval(command[9] + "\n" + command[10])}, nil
	}
	if len(command) == 11 && command[2] == scriptOrder && command[6] == n.vm.Start {
		n.checkSize(command, stdin)
		bindings := strings.Replace(command[9], readOrder, strconv.Quote(stdin), 1) // the socket has no stdin
		return engine.Output{Stdout: n.eval(bindings + "\n" + command[10])}, nil
	}
	return n.realExec(ctx, command, stdin, timeout)
}

func (n *node) checkSize(command []string, stdin string) {
	if size := (request{command, stdin}).size(); size >= maxRequest {
		n.t.Errorf("a request of %d bytes: the platform refuses it", size)
	}
}

// realExec runs a command as the Machines API would on the node's machine, with more patience: tests share a computer.
func (n *node) realExec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	n.checkSize(command, stdin)
	ctx, cancel := context.WithTimeout(ctx, 6*timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdin = n.env, strings.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return engine.Output{}, fmt.Errorf("%w: %w", engine.ErrUnknownOutcome, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return engine.Output{}, err
	}
	return engine.Output{Stdout: out.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}, nil
}

// eval evaluates an expression in the VM and gives what it prints.
func (n *node) eval(expr string) string {
	n.t.Helper()
	return n.evalWithin(2*time.Minute, expr)
}

func (n *node) evalWithin(patience time.Duration, expr string) string {
	n.t.Helper()
	conn, err := net.Dial("unix", n.control)
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(expr))), expr...)); err != nil {
		n.t.Fatal(err)
	}
	out, err := io.ReadAll(conn)
	if len(out) < 4 || strings.HasPrefix(string(out[4:]), "error: ") {
		n.t.Fatalf("evaluating %s: %v %s", expr, err, out)
	}
	return strings.TrimSpace(string(out[4:]))
}

// facts are what Ledger.Setup tells.
func (n *node) facts() map[string]string {
	n.t.Helper()
	facts := map[string]string{}
	for line := range strings.Lines(n.eval("IO.puts(Ledger.Setup.facts())")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		facts[key] = value
	}
	return facts
}

// awaitGone waits until the agent has ended, and its folder is gone.
func (n *node) awaitGone() {
	n.t.Helper()
	if left := n.evalWithin(6*time.Minute, "IO.inspect(Ledger.Control.await_gone(300_000))"); left != "[]" {
		n.t.Fatalf("the agent is still there: %s", left)
	}
}

// unload frees a VM of the agents that were in it, which otherwise takes a while.
func (n *node) unload() {
	n.t.Helper()
	n.eval("Ledger.Control.unload()")
}

// tarballs has the tarballs by the release's root, each made once, by the code that runs on the temporary machine.
var tarballs struct {
	sync.Mutex
	made map[string]madeTarball
}

type madeTarball struct {
	Tarball
	bytes []byte
}

func tarballOf(t testing.TB, version int) madeTarball {
	t.Helper()
	return tarballIn(t, "ledger", releases[version])
}

func tarballIn(t testing.TB, app, root string) madeTarball {
	t.Helper()
	tarballs.Lock()
	defer tarballs.Unlock()
	if made, ok := tarballs.made[root]; ok {
		return made
	}
	made := makeTarball(t, app, root)
	if tarballs.made == nil {
		tarballs.made = map[string]madeTarball{}
	}
	tarballs.made[root] = made
	return made
}

func makeTarball(t testing.TB, app, root string) madeTarball {
	t.Helper()
	tarball, err := MakeTarball(t.Context(), newMachine(t).exec, newJobID(t), root, app, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(tarball.Path)
	if err != nil {
		t.Fatal(err)
	}
	return madeTarball{tarball, body}
}

// newMachine gives a machine that runs no VM.
func newMachine(t testing.TB) *node {
	return &node{t: t, env: []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + t.TempDir()}}
}

// newJobID gives an id for jobs, whose folder ends with the test.
func newJobID(t testing.TB) string {
	t.Helper()
	id := NewID("test")
	t.Cleanup(func() { os.RemoveAll(jobDir(id)) })
	return id
}

// compiled holds the agents by their source's hash, each compiled once, by the code that runs on the temporary machine.
var compiled struct {
	sync.Mutex
	made map[string]compiledAgent
}

type compiledAgent struct {
	engine.CompiledAgent
	file []byte // as it lies in the bucket
}

func compiledBy(t testing.TB, b bundle) compiledAgent {
	t.Helper()
	compiled.Lock()
	defer compiled.Unlock()
	if made, ok := compiled.made[b.Hash]; ok {
		return made
	}
	id := newJobID(t)
	about, err := CompileAgent(t.Context(), newMachine(t).exec, id, releases[1], b.Source, serve(t, b.File), "")
	if err != nil {
		t.Fatal(err)
	}
	made := compiledAgent{CompiledAgent: about}
	if made.file, err = os.ReadFile(filepath.Join(jobDir(id), "agent")); err != nil {
		t.Fatal(err)
	}
	if compiled.made == nil {
		compiled.made = map[string]compiledAgent{}
	}
	compiled.made[b.Hash] = made
	return made
}

// serve gives a URL for body, as a presigned one: with a query that is a secret.
func serve(t testing.TB, body []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/releases/ledger.tar.gz?X-Amz-Signature=" + urlSecret
}

const urlSecret = "5ec4e75ec4e75ec4e7"

func orderOf(t testing.TB, body []byte) Order {
	t.Helper()
	return orderFor(t, "ledger", body)
}

func orderFor(t testing.TB, app string, body []byte) Order {
	t.Helper()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	return Order{
		ID: NewID("01TEST"), TarballURL: serve(t, body), SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)),
		OTPApp: app, Owner: "test",
		// Many tests share a computer: where these limits are not what is tested, they must not be reached.
		MigrationTimeout: 30 * time.Second, MaxSuspend: time.Minute,
	}.by(t, b)
}

// by gives the order with the compiled agent of a bundle.
func (o Order) by(t testing.TB, b bundle) Order {
	t.Helper()
	made := compiledBy(t, b)
	o.Agent, o.AgentURL = made.CompiledAgent, serve(t, made.file)
	return o
}

// stage injects the upgrade to version and waits until it is staged.
func (n *node) stage(version int) (*Session, Status) {
	n.t.Helper()
	return n.order(orderOf(n.t, tarballOf(n.t, version).bytes))
}

func (n *node) order(o Order) (*Session, Status) {
	n.t.Helper()
	return n.orderBy(n.exec, o)
}

func (n *node) orderBy(exec Exec, o Order) (*Session, Status) {
	n.t.Helper()
	s, err := Inject(n.t.Context(), exec, n.vm, o)
	if err != nil {
		n.t.Fatal(err)
	}
	return s, n.await(s, Staged)
}

// await waits for a state, or for a terminal one.
func (n *node) await(s *Session, state State) Status {
	n.t.Helper()
	return awaitFrom(n.t, s, state, 0)
}

func awaitFrom(t testing.TB, s *Session, state State, seen int64) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		status, err := s.Wait(ctx, seen)
		if err != nil {
			t.Fatal(err)
		}
		if status.State == state || status.State.Terminal() {
			return status
		}
		seen = status.Seq
	}
}

// upgrade runs a whole upgrade and gives the terminal status.
func (n *node) upgrade(version int) (*Session, Status) {
	n.t.Helper()
	s, staged := n.stage(version)
	if staged.State != Staged {
		n.t.Fatalf("staging: %s %v", staged.State, staged.Error)
	}
	return s, n.commit(s, staged)
}

// abort ends an upgrade that is staged or armed.
func (n *node) abort(s *Session, status Status) {
	n.t.Helper()
	if _, err := s.Abort(n.t.Context(), status.Seq); err != nil {
		n.t.Fatal(err)
	}
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// arm orders a staged agent to arm, and waits until it has.
func (n *node) arm(s *Session, staged Status) Status {
	n.t.Helper()
	if _, err := s.Arm(n.t.Context(), staged.Seq); err != nil {
		n.t.Fatal(err)
	}
	return n.await(s, Armed)
}

func (n *node) commit(s *Session, staged Status) Status {
	n.t.Helper()
	armed := n.arm(s, staged)
	if armed.State != Armed {
		n.t.Fatalf("arming: %s %v", armed.State, armed.Error)
	}
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	return n.await(s, Committed)
}
