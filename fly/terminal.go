package fly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"

	"flydeploy/engine"
	"flydeploy/text"
)

// Terminals opens terminals on an app's machines with `fly ssh console`.
type Terminals struct {
	App   string
	Token string // "" leaves it to flyctl
}

// Terminal is one that has not been opened yet.
type Terminal struct {
	cmd  *exec.Cmd
	iex  bool
	last lastLines
}

// What goes into a command line, beside appName. The release's folder and name are what its VM says of itself; a shell on the machine may
// read them.
var (
	safeMachine   = regexp.MustCompile(`^[a-z0-9]+$`)
	safeContainer = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	safeRelease   = regexp.MustCompile(`^(/[A-Za-z0-9_][A-Za-z0-9_.+@-]*)+$`)
)

// Shell is a shell in a machine's container, "" for a machine without any. When ctx ends, so does what was opened.
func (t Terminals) Shell(ctx context.Context, machine, container string) (*Terminal, error) {
	return t.open(ctx, machine, container, "")
}

// IEx is a remote IEx in the VM of the release with that folder and name: RELEASE_ROOT and RELEASE_NAME.
func (t Terminals) IEx(ctx context.Context, machine, container, root, name string) (*Terminal, error) {
	release := strings.TrimRight(root, "/") + "/bin/" + name
	if root == "" || !safeRelease.MatchString(release) || strings.Contains(name, "/") {
		return nil, unsafeName("release", release)
	}
	return t.open(ctx, machine, container, release+" remote")
}

func (t Terminals) open(ctx context.Context, machine, container, inside string) (*Terminal, error) {
	switch {
	case len(t.App) > 63 || !appName.MatchString(t.App):
		return nil, unsafeName("app", t.App)
	case len(machine) > 40 || !safeMachine.MatchString(machine):
		return nil, unsafeName("machine", machine)
	case len(container) > 128 || container != "" && !safeContainer.MatchString(container):
		return nil, unsafeName("container", container)
	}
	flyctl, err := findFlyctl()
	if err != nil {
		return nil, engine.NewProblem("no_flyctl", "neither `fly` nor `flyctl` is installed", nil,
			"Install flyctl (https://fly.io/docs/flyctl/install/), or set FLYCTL to its path.")
	}
	args := []string{"ssh", "console", "-a", t.App, "--machine", machine}
	if container != "" {
		args = append(args, "--container", container)
	}
	if inside != "" {
		args = append(args, "--pty", "-C", inside) // with a command, flyctl gives no terminal unless it is asked for one
	}
	cmd := exec.CommandContext(ctx, flyctl, args...)
	cmd.Env = flyctlEnviron(t.Token)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = interruptGrace
	return &Terminal{cmd: cmd, iex: inside != ""}, nil
}

func unsafeName(what, name string) error {
	return engine.NewProblem("unsafe_name", fmt.Sprintf("%s %q is not handed to flyctl: it has characters that no such name has", what, text.Shorten(name, 80)), nil,
		"Run `fly ssh console` by hand, if you trust it.")
}

// String is the command, without what it gets from the environment.
func (t *Terminal) String() string {
	words := append([]string{"fly"}, t.cmd.Args[1:]...)
	for i, word := range words {
		if strings.Contains(word, " ") {
			words[i] = `"` + word + `"`
		}
	}
	return strings.Join(words, " ")
}

// Run hands the terminal over until the shell or the IEx ends. That the last command in a shell has failed is no error.
func (t *Terminal) Run(in io.Reader, out, errs io.Writer) error {
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = in, out, io.MultiWriter(errs, &t.last)
	err := t.cmd.Run()
	said := t.last.worst()
	var exit *exec.ExitError
	switch {
	case err == nil, !t.iex && errors.As(err, &exit) && strings.Contains(said, "Process exited with status"):
		return nil
	case !errors.As(err, &exit):
		return engine.NewProblem("no_flyctl", "run "+t.cmd.Path, err, "Check that flyctl is installed and that FLYCTL, if it is set, names it.")
	}
	what := fmt.Sprintf("`%s` ended with %v", t, exit)
	if said != "" {
		what += ": " + said
	}
	return engine.NewProblem("no_terminal", what, nil, "Run the command by hand to see all that it says. If it may not connect: run `fly auth login`, or take a token from `fly tokens create ssh`.")
}

// lastLines keeps the end of what was written.
type lastLines struct{ kept []byte }

const keptOutput = 4 << 10 // bytes

func (l *lastLines) Write(p []byte) (int, error) {
	if l.kept = append(l.kept, p...); len(l.kept) > keptOutput {
		l.kept = append(l.kept[:0], l.kept[len(l.kept)-keptOutput:]...)
	}
	return len(p), nil
}

// worst is the last line that reports an error, or else the last line, "" for none.
func (l *lastLines) worst() (line string) {
	for raw := range strings.FieldsFuncSeq(string(l.kept), func(r rune) bool { return r == '\n' || r == '\r' }) {
		said := strings.TrimSpace(text.Line(raw))
		if said != "" && (strings.HasPrefix(said, "Error") || !strings.HasPrefix(line, "Error")) {
			line = said
		}
	}
	return text.Shorten(line, 300)
}
