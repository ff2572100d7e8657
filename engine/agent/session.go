package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
)

// NewID makes the id of one machine's upgrade: the upgrade's ULID and a 128-bit nonce.
func NewID(upgrade string) string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return upgrade + "-" + hex.EncodeToString(nonce[:])
}

// Order is what an agent is asked to do.
type Order struct {
	ID         string // NewID
	TarballURL string // presigned GET; its query is a secret
	ReportURL  string // presigned PUT for the report of what failed, secret likewise; "" for none
	SHA256     string // of the tarball, hex
	Size       int64  // of the tarball, bytes
	OTPApp     string
	Owner      string // who deploys, for others to read
	// Fence is the deploy's ULID: these are in the order in which the lock was taken. A VM that has met a newer one refuses the order.
	// "" is let in everywhere.
	Fence string
	// Agent is the compiled agent that is to run, AgentURL a presigned GET of it; its query is a secret.
	Agent    engine.CompiledAgent
	AgentURL string
	// Version and SourceImage of the upgrade: what the package fly_deploy tells the application of it.
	Version, SourceImage string
	// SignedBy is the ID of the key that signs the record, "" for none: the package fly_deploy may demand one.
	SignedBy string
	// CACerts are PEM certificates to trust for the download; empty: the operating system's, else castore's.
	CACerts string

	// How long a process may take to suspend, how long migrations may go without an answer, how long processes may be suspended
	// altogether, and how long the states wait for the console; zero is the protocol's default (250 ms, 1 s, 2 s, 20 min, 60 s, 10 min).
	SuspendTimeout, MigrationTimeout, MaxSuspend, StagedFor, ArmedFor, TerminalFor time.Duration
	// SkipBusy: processes that do not suspend in time are left out, and the others upgraded.
	SkipBusy bool
	// Trial is how long the upgrade is on trial after its commit; 0: it is not.
	Trial time.Duration
	// Rehearse: migrations are tried on copies of states, in a scratch VM beside the application's.
	Rehearse bool
	// ApplyConfig: the release's configuration is applied. Where the tarball has none, that is the image's.
	ApplyConfig bool
	// ApplyChildren: supervisors get their new children.
	ApplyChildren engine.ApplyChildren
	// Back: an upgrade is taken back. The code that runs is asked to take states back, and processes that it cannot take back start afresh,
	// those of the modules Fresh among them.
	Back  bool
	Fresh []string

	// Starting, unless nil, is told before the request is sent that starts the agent: from then on there may be one.
	Starting func()
}

func (o Order) encode() string {
	form := url.Values{}
	set := func(key, value string) {
		if value != "" {
			form.Set(key, value)
		}
	}
	ms := func(key string, d time.Duration) {
		if d > 0 {
			form.Set(key, strconv.FormatInt(d.Milliseconds(), 10))
		}
	}
	set("id", o.ID)
	set("url", o.TarballURL)
	set("report_url", o.ReportURL)
	set("sha256", o.SHA256)
	set("size", strconv.FormatInt(o.Size, 10))
	set("otp_app", o.OTPApp)
	set("agent_url", o.AgentURL)
	set("agent_sha256", o.Agent.SHA256)
	set("agent_size", strconv.FormatInt(o.Agent.Size, 10))
	set("agent_otp", o.Agent.OTP)
	set("agent_elixir", o.Agent.Elixir)
	set("owner", o.Owner)
	set("fence", o.Fence)
	set("version", o.Version)
	set("source_image", o.SourceImage)
	set("signed_by", o.SignedBy)
	set("cacerts", o.CACerts)
	ms("suspend_ms", o.SuspendTimeout)
	ms("migration_ms", o.MigrationTimeout)
	ms("max_suspend_ms", o.MaxSuspend)
	if o.SkipBusy {
		set("skip_busy", "true")
	}
	if o.Rehearse {
		set("rehearse", "true")
	}
	if o.ApplyConfig {
		set("apply_config", "true")
	}
	set("apply_children", string(o.ApplyChildren))
	if o.Back {
		set("back", "true")
		set("fresh", strings.Join(o.Fresh, " "))
	}
	ms("staged_ms", o.StagedFor)
	ms("armed_ms", o.ArmedFor)
	ms("terminal_ms", o.TerminalFor)
	ms("trial_ms", o.Trial)
	return encode(form.Encode())
}

var (
	idText    = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	validApp  = regexp.MustCompile(`^[a-z][a-zA-Z0-9_@]*$`)
	plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._-]+$`)
	absolute  = regexp.MustCompile(`^/[^\x00-\x1f\x7f]+$`)
)

func validID(id string) bool { return len(id) >= 16 && len(id) <= 80 && idText.MatchString(id) }

// validDir reports whether an agent can work in a folder.
func validDir(dir string) bool { return len(dir) <= 400 && absolute.MatchString(dir) }

func (o Order) check() error {
	switch {
	case !validID(o.ID):
		return fmt.Errorf("order: the id %q is not NewID's", printable(o.ID, 80))
	case !engine.IsSHA256(o.SHA256):
		return fmt.Errorf("order: no sha256")
	case o.Size <= 0:
		return fmt.Errorf("order: no size")
	case !o.Agent.Valid():
		return fmt.Errorf("order: no compiled agent")
	case !validApp.MatchString(o.OTPApp):
		return fmt.Errorf("order: the OTP application %q has no valid name", printable(o.OTPApp, 80))
	}
	return nil
}

// BusyError says that another upgrade is under way in the VM.
type BusyError struct {
	ID, Owner string
	State     State
	ExpiresIn time.Duration

	about about // as it came
}

// InWindow reports whether the agent is inside its window: it says who it is only afterwards, and cannot be taken over before.
func (e *BusyError) InWindow() bool { return e.ID == "" }

func (e *BusyError) Error() string {
	if e.InWindow() {
		return "another upgrade has suspended processes in this VM, and does not answer before it has resumed them"
	}
	return fmt.Sprintf("another upgrade (%s by %s) is %s in this VM; it ends by itself within %s",
		e.ID, e.Owner, e.State, e.ExpiresIn.Round(time.Second))
}

// Session is an agent in one VM.
type Session struct {
	exec Exec
	vm   VM
	id   string
	dir  string // on the machine
}

// ID is the order's id, by which results of this machine's upgrade are told apart.
func (s *Session) ID() string { return s.id }

// injectTimeout bounds an injection: the VM downloads the agent and loads it, on what may be a sixteenth of a CPU. The platform
// ends every exec after 60 s. What the VM has begun by then goes on.
const injectTimeout = 55 * time.Second

// Inject puts the agent into the VM by one request and gives it its order; it begins to stage at once. Idempotent by the order's
// id: after an engine.ErrUnknownOutcome the same call may be made again. A VM with another upgrade answers with *BusyError, and has
// then downloaded nothing.
func Inject(ctx context.Context, exec Exec, vm VM, o Order) (*Session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if vm.Distribution == "none" {
		return nil, &Refusal{"no_distribution", "injecting the agent: the release starts without distribution"}
	}
	b, err := agentBundle()
	if err != nil {
		return nil, err
	}
	if o.Agent.Source != b.Hash {
		return nil, fmt.Errorf("injecting the agent: the compiled one is %q, not %s", printable(o.Agent.Source, 20), b.Hash)
	}
	// A second round: the agent of another console, ending at the same moment, takes its modules with it.
	for range 2 {
		s, err := inject(ctx, exec, vm, o, b)
		if s != nil || err != nil {
			return s, err
		}
	}
	return nil, fmt.Errorf("injecting the agent: its modules vanish from the VM; try again")
}

func inject(ctx context.Context, exec Exec, vm VM, o Order, b bundle) (*Session, error) {
	const doing = "injecting the agent"
	if o.Starting != nil {
		o.Starting()
	}
	out, err := send(ctx, exec, injectTimeout, doing, injection(vm, b, o), o.secrets()...)
	if err != nil {
		return nil, err
	}
	if err := notEntered(doing, vm, out); err != nil {
		return nil, err
	}
	word, rest := out.word()
	switch word {
	case "started":
		return started(rest, exec, vm, o)
	case "busy":
		return nil, busy(rest, o)
	case "incomplete":
		return nil, nil
	case "refused":
		return nil, fmt.Errorf("%s: %w", doing, refusal(rest))
	}
	if isCut(word, "started", "busy", "incomplete", "refused", "gone", "no_program", "no_user") {
		return nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	return nil, fmt.Errorf("%s: unexpected answer %q", doing, printable(word, 40))
}

// readOrder is what the bindings have for the order: it is read from the request's stdin, since its URLs are secrets.
const readOrder = "IO.read(:line)"

// injection is the exec that starts an agent.
func injection(vm VM, b bundle, o Order) request {
	program, _ := bootstrap() // embedded
	bindings := fmt.Sprintf(`id = "%s"; modules = %d; agent = "%s"; order = String.trim(%s)`, o.ID, b.modules, b.Agent, readOrder)
	return request{shell(scriptOrder, vm.enter(bindings, program)...), o.encode() + "\n"}
}

// secrets are the parts of the URLs that no error may show.
func (o Order) secrets() []string {
	var queries []string
	for _, url := range []string{o.TarballURL, o.AgentURL, o.ReportURL} {
		_, query, _ := strings.Cut(url, "?")
		queries = append(queries, query)
	}
	return queries
}

// about is what a starting agent tells.
type about struct {
	ID          string `json:"id"`
	Owner       string `json:"owner"`
	Fence       string `json:"fence"`
	State       State  `json:"state"`
	ExpiresInMS int64  `json:"expires_in_ms"`
	Dir         string `json:"dir"`
	Boot        string `json:"boot"`
}

func started(text string, exec Exec, vm VM, o Order) (*Session, error) {
	var a about
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return nil, fmt.Errorf("injecting the agent: its answer is not valid: %w", errCut)
	}
	if a.ID != o.ID || !validDir(a.Dir) || !strings.HasSuffix(a.Dir, "/flydeploy-"+o.ID) {
		return nil, fmt.Errorf("injecting the agent: it works in an unexpected folder %q", printable(a.Dir, 200))
	}
	if a.Boot != vm.Boot() {
		return nil, fmt.Errorf("injecting the agent: the VM restarted, the one that was found is %w", ErrGone)
	}
	return &Session{exec: exec, vm: vm, id: o.ID, dir: a.Dir}, nil
}

func busy(text string, o Order) error {
	var a about
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("another upgrade is under way in this VM")
	}
	if o.Fence != "" && a.Fence > o.Fence {
		return &Refusal{"superseded", fmt.Sprintf("deploy %s of %s has taken the lock since, and is at work in this VM", printable(a.Fence, 40), printable(a.Owner, 80))}
	}
	return &BusyError{
		ID: printable(a.ID, 80), Owner: printable(a.Owner, 80), State: State(printable(string(a.State), 40)),
		ExpiresIn: time.Duration(a.ExpiresInMS) * time.Millisecond, about: a,
	}
}

func refusal(text string) error {
	var r Refusal
	_ = json.Unmarshal([]byte(text), &r)
	return &Refusal{Name: printable(r.Name, 40), What: printable(r.What, 300)}
}

// callTimeout bounds one call: ten seconds of waiting, and the answer.
const callTimeout = 15 * time.Second

// For how long a call does not come back with news of work that goes on. Staging shows how far it is.
const (
	stagesQuietly  = 2 * time.Second
	armsQuietly    = 5 * time.Second
	commitsQuietly = 9 * time.Second
)

// Wait gives the status as soon as its seq is greater than seen, or after ten seconds; while the agent stages or arms, after two if
// there are news. ErrGone: the agent has ended.
func (s *Session) Wait(ctx context.Context, seen int64) (Status, error) {
	return s.call(ctx, "-", seen, stagesQuietly)
}

// Arm is the order to prepare everything for the commit: for a staged agent.
func (s *Session) Arm(ctx context.Context, seen int64) (Status, error) {
	return s.call(ctx, "arm", seen, armsQuietly)
}

// Commit is the order to upgrade: for an armed agent.
func (s *Session) Commit(ctx context.Context, seen int64) (Status, error) {
	return s.call(ctx, "commit", seen, commitsQuietly)
}

// Abort takes everything back that was ordered, unless the agent is committing. Read the state to know.
func (s *Session) Abort(ctx context.Context, seen int64) (Status, error) {
	return s.call(ctx, "abort", seen, stagesQuietly)
}

// FinishByHand is a command without a shell that does on the machine what Finish does; "" where there is no agent to be ended, or its folder
// is not named in plain letters.
func (s *Session) FinishByHand() string {
	if !plainPath.MatchString(s.dir) {
		return ""
	}
	return "mkdir " + s.dir + "/finish"
}

// Finish lets the agent end; one that has not reached its end aborts first. Gone already is no error; the status is then empty.
func (s *Session) Finish(ctx context.Context) error {
	_, err := s.call(ctx, "finish", 1<<62, 0)
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// call is one exec: an optional command, a bounded wait, the status. Commands are atomic and may be sent again.
func (s *Session) call(ctx context.Context, command string, seen int64, quietly time.Duration) (Status, error) {
	doing := "asking the agent"
	if s.dir == "" { // see Past
		return Status{}, fmt.Errorf("%s: it is %w", doing, ErrGone)
	}
	if command != "-" {
		doing = "telling the agent to " + command
	}
	out, err := run(ctx, s.exec, callTimeout, doing, shell(scriptWait, s.dir, command, strconv.FormatInt(seen, 10), strconv.Itoa(int(quietly.Seconds()))))
	if err != nil {
		return Status{}, err
	}
	if word, _ := out.word(); word == "gone" {
		return Status{}, fmt.Errorf("%s: it is %w", doing, ErrGone)
	}
	if !out.whole() || len(out) != 3 {
		return Status{}, fmt.Errorf("%s: %w", doing, errCut)
	}
	status, err := parseStatus(out[1], s.id, s.vm.Boot())
	if err != nil {
		return Status{}, fmt.Errorf("%s: %w", doing, err)
	}
	return status, nil
}
