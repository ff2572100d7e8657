package agent

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Facts are what a running VM tells of itself, as far as a hot upgrade depends on it.
type Facts struct {
	OTP    string // release, e.g. "27"
	Elixir string
	Crypto bool // :crypto can be loaded: the sha256 of a tarball needs it
	SSL    bool // :ssl can be loaded: downloads over https need it
	// Certificates counts the authorities that the VM knows, the operating system's, else castore's.
	Certificates int
	Hook         Hook
	Poller       bool     // fly_deploy's FlyDeploy.Poller runs: it would apply upgrades on its own
	Agent        bool     // an upgrade is under way in the VM
	Unwritable   []string // folders of the release that the VM's user cannot write
	User         string   // the VM's uid, "" where the system does not tell
	Apps         []App    // without OTP's and Elixir's own
	// Skew is the VM's clock minus ours; 0 where the answer's way could explain the difference.
	Skew time.Duration
}

// App is an OTP application that is part of a running release.
type App struct {
	Name, Version string
	Top           bool // no other application needs it: the release's own are
}

// probeTimeout: rpc boots a small VM beside the running one, on what may be a small share of a CPU.
const probeTimeout = 30 * time.Second

// Probe asks the running VM for its facts by one rpc. It changes nothing.
func Probe(ctx context.Context, exec Exec, vm VM) (Facts, error) {
	const doing = "asking the VM for its facts"
	sent := time.Now()
	lines, err := ask(ctx, exec, vm, doing, "facts", factsScripts...)
	if err != nil {
		return Facts{}, err
	}
	return parseFacts(lines, sent, time.Now()), nil
}

// ask evaluates scripts of elixir/ in the VM, one after the other in one rpc, and gives the lines that they print between
// "FLYDEPLOY1 word" and the end.
func ask(ctx context.Context, exec Exec, vm VM, doing, word string, scripts ...string) ([]string, error) {
	return askBound(ctx, exec, vm, "", doing, word, scripts...)
}

// askBound is ask with bindings for the scripts.
func askBound(ctx context.Context, exec Exec, vm VM, bindings, doing, word string, scripts ...string) ([]string, error) {
	text, err := program(scripts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	out, err := run(ctx, exec, probeTimeout, doing, shell(scriptRPC, vm.enter(bindings, text)...))
	if err != nil {
		return nil, err
	}
	if err := notEntered(doing, vm, out); err != nil {
		return nil, err
	}
	if found, _ := out.word(); found != word || !out.whole() {
		return nil, fmt.Errorf("%s: %w", doing, errCut)
	}
	return out[1 : len(out)-1], nil
}

// parseFacts reads key=value lines; what it does not know it leaves out. The VM's clock was read between sent and
// received.
func parseFacts(lines []string, sent, received time.Time) Facts {
	var f Facts
	texts := map[string]*string{"otp": &f.OTP, "elixir": &f.Elixir, "user": &f.User}
	flags := map[string]*bool{"crypto": &f.Crypto, "ssl": &f.SSL, "poller": &f.Poller, "agent": &f.Agent}
	for _, line := range lines {
		key, value, _ := strings.Cut(printable(line, 1000), "=")
		if text, ok := texts[key]; ok {
			*text = value
		}
		if flag, ok := flags[key]; ok {
			*flag = value == "true"
		}
		f.Hook.read(key, value)
		switch key {
		case "certificates":
			f.Certificates, _ = strconv.Atoi(value)
		case "unwritable":
			f.Unwritable = append(f.Unwritable, value)
		case "app":
			if words := strings.Fields(value); len(words) == 3 {
				f.Apps = append(f.Apps, App{Name: words[0], Version: words[1], Top: words[2] == "top"})
			}
		case "clock_ms":
			if ms, err := strconv.ParseInt(value, 10, 64); err == nil {
				f.Skew = skew(time.UnixMilli(ms), sent, received)
			}
		}
	}
	return f
}

// skew is how far a clock lies outside of the time in which it was read.
func skew(at, sent, received time.Time) time.Duration {
	switch {
	case at.Before(sent.Truncate(time.Millisecond)):
		return at.Sub(sent)
	case at.After(received):
		return at.Sub(received)
	}
	return 0
}
