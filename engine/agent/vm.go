package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
)

// ErrNoVM says that a machine runs no BEAM that a mix release started.
var ErrNoVM = error(&kind{"no_vm", "no release runs on the machine"})

// ErrGone says that the VM or its agent is not there any more: it ended, or the machine restarted.
var ErrGone = error(&kind{"vm_gone", "gone"})

const quick = 20 * time.Second

// VM is a running release, as its own environment tells it.
type VM struct {
	PID     string // in the machine's namespace
	Start   string // its start, in clock ticks since the host's boot
	Root    string // RELEASE_ROOT
	Name    string // RELEASE_NAME
	Node    string // RELEASE_NODE
	Version string // RELEASE_VSN
	// OTPApp is the application with the release's name, "" where the release has none: then the operator must say.
	OTPApp string
	Image  string // FLY_IMAGE_REF
	// Distribution is RELEASE_DISTRIBUTION; with "none" nothing can be injected.
	Distribution string
}

// Boot identifies this boot of the VM; every status carries it.
func (vm VM) Boot() string { return vm.PID + "-" + vm.Start }

// Discover finds the VM of a machine. Everything else in its environment stays there, the cookie above all.
func Discover(ctx context.Context, exec Exec, of engine.Release) (VM, error) {
	out, err := run(ctx, exec, quick, "looking for the VM", shell(scriptVM, "/proc", of.Root, of.Name))
	if err != nil {
		return VM{}, err
	}
	if !out.whole() {
		return VM{}, fmt.Errorf("looking for the VM: %w", errCut)
	}
	return choose(of, parseVMs(out))
}

// process is a VM as it was found, and whose it is.
type process struct {
	VM
	user string // the uid that runs it
	// folder is the release's folder as `ls -ldn` shows it; "" where there is none.
	folder string
}

// isForeign says why a process is not taken for a release of the machine's, "" for one that is: anybody can start a BEAM that
// claims to be a release. In a real one nobody has written but root and the user that runs it.
func (p process) isForeign() string {
	fields := strings.Fields(p.folder)
	switch {
	case len(fields) < 3 || len(fields[0]) < 10:
		return "the folder does not exist"
	case p.user != "0" && fields[2] != "0" && fields[2] != p.user:
		return "the folder belongs to user " + fields[2]
	case fields[0][8] == 'w':
		return "everybody may write to the folder"
	}
	return ""
}

func (p process) String() string {
	return fmt.Sprintf("%s in %s (process %s of user %s)", cmp.Or(p.Name, "one without a name"), cmp.Or(p.Root, "no folder"), p.PID, p.user)
}

// foreignError says that what looks like a release is not one of the machine's.
type foreignError struct{ what string }

func (e *foreignError) Error() string        { return e.what }
func (e *foreignError) ProblemName() string  { return "foreign_release" }
func (e *foreignError) Is(target error) bool { return target == ErrNoVM }

// choose gives the VM of the release that is meant.
func choose(of engine.Release, all []process) (VM, error) {
	var names []string
	var meant, foreign []process
	for _, p := range all {
		switch {
		case of.Name != "" && p.Name != "" && p.Name != of.Name:
			names = append(names, p.Name)
		case p.isForeign() != "":
			foreign = append(foreign, p)
		default:
			meant = append(meant, p)
		}
	}
	if its := slices.DeleteFunc(slices.Clone(meant), func(p process) bool { return p.Root != of.Root }); len(its) == 1 {
		meant = its
	}
	slices.Sort(names)
	switch {
	case len(meant) > 1:
		return VM{}, &Refusal{"several_vms", fmt.Sprintf("%d releases run on the machine: %s", len(meant), list(meant))}
	case len(meant) == 0 && len(foreign) > 0:
		return VM{}, &foreignError{fmt.Sprintf("what runs on the machine as %s is not trusted: %s", foreign[0], foreign[0].isForeign())}
	case len(meant) == 0 && len(names) > 0:
		return VM{}, fmt.Errorf("the release %s does not run on the machine, but %s: %w", of.Name, strings.Join(names, ", "), ErrNoVM)
	case len(meant) == 0:
		return VM{}, ErrNoVM
	}
	vm := meant[0].VM
	vm.Name, vm.Root = cmp.Or(of.Name, vm.Name), cmp.Or(of.Root, vm.Root)
	if vm.Root == "" || vm.Name == "" {
		return VM{}, fmt.Errorf("a BEAM runs, but it names no release: %w", ErrNoVM)
	}
	return vm, nil
}

func list(all []process) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func parseVMs(lines answer) []process {
	var all []process
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, marker+"vm "); ok {
			pid, start, _ := strings.Cut(rest, " ")
			all = append(all, process{VM: VM{PID: printable(pid, 20), Start: printable(start, 30)}})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(all) == 0 {
			continue
		}
		all[len(all)-1].set(key, printable(value, 1000))
	}
	return all
}

func (p *process) set(key, value string) {
	switch key {
	case "USER":
		p.user = value
	case "FOLDER":
		p.folder = value
	default:
		p.VM.set(key, value)
	}
}

func (vm *VM) set(key, value string) {
	switch key {
	case "RELEASE_ROOT":
		vm.Root = value
	case "RELEASE_NAME":
		vm.Name = value
	case "RELEASE_NODE":
		vm.Node = value
	case "RELEASE_VSN":
		vm.Version = value
	case "RELEASE_DISTRIBUTION":
		vm.Distribution = value
	case "FLY_IMAGE_REF":
		vm.Image = value
	case "OTP_APP":
		vm.OTPApp = value
	}
}

// enter gives the arguments with which every script finds the VM again.
func (vm VM) enter(args ...string) []string {
	return append([]string{"/proc", vm.PID, vm.Start, vm.Root, vm.Name}, args...)
}

// StorageEnv reads the VM's own storage settings: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ROLE_ARN,
// AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_BUCKET, BUCKET_NAME, those that are set. They are secrets: keep them in memory.
func StorageEnv(ctx context.Context, exec Exec, vm VM) (map[string]string, error) {
	const doing = "reading the VM's storage settings"
	out, err := run(ctx, exec, quick, doing, shell(scriptStorage, vm.enter()...))
	if err != nil {
		return nil, err
	}
	if err := notEntered(doing, vm, out); err != nil {
		return nil, err
	}
	if !out.whole() {
		return nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	return parseSettings(out), nil
}

func parseSettings(lines answer) map[string]string {
	settings := map[string]string{}
	for _, line := range lines {
		if key, value, ok := strings.Cut(line, "="); ok {
			settings[key] = value
		}
	}
	return settings
}
