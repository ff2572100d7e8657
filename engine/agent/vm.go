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

// choose gives the VM of the release that is meant.
func choose(of engine.Release, all []VM) (VM, error) {
	var names []string
	var meant []VM
	for _, vm := range all {
		names = append(names, cmp.Or(vm.Name, "one without a name"))
		if of.Name == "" || vm.Name == "" || vm.Name == of.Name {
			vm.Name, vm.Root = cmp.Or(of.Name, vm.Name), cmp.Or(of.Root, vm.Root)
			meant = append(meant, vm)
		}
	}
	slices.Sort(names)
	switch {
	case len(all) == 0:
		return VM{}, ErrNoVM
	case len(meant) == 0:
		return VM{}, fmt.Errorf("the release %s does not run on the machine, but %s: %w", of.Name, strings.Join(names, ", "), ErrNoVM)
	case len(meant) > 1:
		return VM{}, &Refusal{"several_vms", fmt.Sprintf("%d releases run on the machine: %s", len(meant), strings.Join(names, ", "))}
	case meant[0].Root == "" || meant[0].Name == "":
		return VM{}, fmt.Errorf("a BEAM runs, but it names no release: %w", ErrNoVM)
	}
	return meant[0], nil
}

func parseVMs(lines answer) []VM {
	var vms []VM
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, marker+"vm "); ok {
			pid, start, _ := strings.Cut(rest, " ")
			vms = append(vms, VM{PID: printable(pid, 20), Start: printable(start, 30)})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(vms) == 0 {
			continue
		}
		vms[len(vms)-1].set(key, printable(value, 1000))
	}
	return vms
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

// StorageEnv reads the VM's own storage settings: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3, AWS_REGION,
// AWS_BUCKET, BUCKET_NAME, those that are set. They are secrets: keep them in memory.
func StorageEnv(ctx context.Context, exec Exec, vm VM) (map[string]string, error) {
	out, err := run(ctx, exec, quick, "reading the VM's storage settings", shell(scriptStorage, vm.enter()...))
	if err != nil {
		return nil, err
	}
	if word, _ := out.word(); word == "gone" {
		return nil, fmt.Errorf("reading the VM's storage settings: the VM is %w", ErrGone)
	}
	if !out.whole() {
		return nil, fmt.Errorf("reading the VM's storage settings: %w", errCut)
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
