package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// The console in tmux, a terminal that is not ours: what operators press and see.

// patience bounds each wait; a slow machine uses more of it.
const patience = 3 * time.Minute

// pane is a terminal in a tmux server of the test's own. After the command it shows the exit code, and a shell.
type pane struct {
	t   *testing.T
	dir string // of the server's socket, and of what the shell writes
}

func newPane(t *testing.T, w, h int, dir string, env []string, args ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatalf("%v: make setup installs tmux", err)
	}
	sockets, err := os.MkdirTemp("", "fdt-") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t: t, dir: sockets}
	t.Cleanup(func() {
		_, _ = p.try("kill-server")
		os.RemoveAll(sockets)
	})
	p.tmux("new-session", "-d", "-x", strconv.Itoa(w), "-y", strconv.Itoa(h), "-c", dir, "env", "PS1=$ ", "HOME="+sockets, "sh")
	var words strings.Builder
	for _, word := range append(append([]string{"env", "CI=", "TERM=xterm-256color", "FLY_CONFIG_DIR=" + sockets}, env...), args...) {
		words.WriteString(" '" + word + "'")
	}
	script := fmt.Sprintf("clear\nstty -g >before\nsh -c 'echo $$ >pid; exec \"$@\"' sh%s\ncode=$?\nstty -g >after\necho exit=$code\n", words.String())
	script = strings.NewReplacer(">before", ">"+sockets+"/before", ">pid", ">"+sockets+"/pid", ">after", ">"+sockets+"/after").Replace(script)
	if err := os.WriteFile(filepath.Join(sockets, "run"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	p.keys(". "+sockets+"/run", "Enter")
	return p
}

func (p *pane) try(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", filepath.Join(p.dir, "s"), "-f", "/dev/null"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return out
}

// keys presses keys by tmux's names for them; other words are typed.
func (p *pane) keys(names ...string) {
	p.t.Helper()
	p.tmux(append([]string{"send-keys"}, names...)...)
}

func (p *pane) screen() string {
	p.t.Helper()
	screen := p.tmux("capture-pane", "-p")
	if secret := shown.FindString(screen); secret != "" {
		p.t.Errorf("the screen shows %s\n%s", secret, screen)
	}
	return screen
}

// shown is what the local Fly's secrets begin with: tokens, keys, and what makes a URL a presigned one.
var shown = regexp.MustCompile(`fo1_\w|tid_\w|tsec_\w|X-Amz-(?:Signature|Credential)(?:=|%3D)\w`)

// scrollback is the screen with what has scrolled out of it.
func (p *pane) scrollback() string {
	p.t.Helper()
	return p.tmux("capture-pane", "-p", "-J", "-S", "-")
}

// until waits for something on the screen, and gives the screen.
func (p *pane) until(what string) string {
	p.t.Helper()
	wanted := regexp.MustCompile(what)
	return p.untilIs(what, func(screen string) bool { return wanted.MatchString(screen) })
}

func (p *pane) untilIs(what string, so func(screen string) bool) string {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		screen := p.screen()
		if so(screen) {
			return screen
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("never came: %s\n%s", what, p.scrollback())
		}
		time.Sleep(100 * time.Millisecond) // between two looks at a program that we cannot wait for
	}
}

// wrote reads what the pane's shell has written into a file.
func (p *pane) wrote(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (p *pane) signal(s syscall.Signal) {
	p.t.Helper()
	pid, err := strconv.Atoi(p.wrote("pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		p.t.Fatal(err)
	}
}

// exited waits for the end, checks that the terminal is as it was before, and gives the exit code and the scrollback.
func (p *pane) exited() (code int, text string) {
	p.t.Helper()
	p.until(`exit=\d+`)
	text = p.scrollback()
	code, _ = strconv.Atoi(regexp.MustCompile(`exit=(\d+)`).FindStringSubmatch(text)[1])
	if flags := strings.TrimSpace(p.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}")); flags != "0 1 0" {
		p.t.Errorf("alternate screen, cursor, mouse after the end: %s, want 0 1 0", flags)
	}
	if before, after := p.wrote("before"), p.wrote("after"); after != before {
		p.t.Errorf("the terminal's modes are %q, want %q", after, before)
	}
	return code, text
}

// interrupted is an operated Fly with a builder that can be made to take its time.
type interrupted struct {
	*operated
	slow string // while this file is there, the build goes on
}

// newInterrupted puts a `fly` into PATH that says what flyctl says.
func newInterrupted(t *testing.T) *interrupted {
	o := newOperated(t, 1)
	tools := t.TempDir()
	i := &interrupted{operated: o, slow: filepath.Join(tools, "slow")}
	script := fmt.Sprintf("#!/bin/sh\necho '#1 [internal] load build definition' >&2\nwhile test -e %s; do sleep 0.1; done\necho 'image: %s' >&2\n", i.slow, o.image)
	if err := os.WriteFile(filepath.Join(tools, "fly"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	o.env = append(o.env, "PATH="+tools+":"+os.Getenv("PATH"))
	return i
}

// slowBuild makes builds take until they are interrupted, or not.
func (i *interrupted) slowBuild(t *testing.T, slow bool) {
	t.Helper()
	err := os.RemoveAll(i.slow)
	if slow {
		err = os.WriteFile(i.slow, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// looks is what another operator sees.
func (i *interrupted) looks(t *testing.T) engine.Overview {
	t.Helper()
	out, errs, code := run(t, i.dir, i.env, "status", "--quick", "--output", "json")
	var o engine.Overview
	if err := json.Unmarshal([]byte(out), &o); err != nil || code != 0 {
		t.Fatalf("status: exit %d, %v\n%s%s", code, err, out, errs)
	}
	return o
}

// settled checks that nobody holds the lock and that no temporary machine is left.
func (i *interrupted) settled(t *testing.T) engine.Overview {
	t.Helper()
	o := i.looks(t)
	if o.Lock != nil {
		t.Errorf("the lock is still held: %+v", *o.Lock)
	}
	for _, m := range o.Machines {
		if m.Temporary != "" {
			t.Errorf("a temporary machine is left: %s", m.ID)
		}
	}
	return o
}

const spinning = "[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]"

// TestConsoleEnds ends consoles in every way, on one fleet. What an end leaves behind in a machine would be in the way of
// the next one; the last two upgrade the fleet.
func TestConsoleEnds(t *testing.T) {
	t.Parallel()
	i := newInterrupted(t)
	hot := func(t *testing.T, more ...string) *pane {
		return newPane(t, 120, 40, i.dir, i.env, append([]string{binary(t), "hot"}, more...)...)
	}
	var packed []string // deploys again what the deploy that was stopped in Plan has packed

	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		t.Run("Rule14 "+s.String(), func(t *testing.T) {
			i.slowBuild(t, true)
			p := hot(t)
			p.until(spinning + " Build ")
			p.signal(s)
			code, text := p.exited()
			if code == 0 || !strings.Contains(text, "cancelled") {
				t.Errorf("exit %d\n%s", code, text)
			}
			i.settled(t)
		})
	}
	for _, phase := range []string{"Build", "Plan"} { // the others: TestHurryInEveryPhase
		t.Run("Rule7 ctrl-c twice in "+phase, func(t *testing.T) {
			i.slowBuild(t, phase == "Build")
			p := hot(t, packed...)
			p.until("[✓⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] " + phase + " ") // the phase, or one that was over before we looked
			p.keys("C-c")
			p.until("Your deploy is still running")
			p.keys("C-c")
			code, text := p.exited()
			if code != 130 || !strings.Contains(text, "cancelled") || !strings.Contains(text, "flydeploy replay ") {
				t.Errorf("exit %d\n%s", code, text)
			}
			if o := i.settled(t); o.Metadata != nil && o.Metadata.HotUpgrade != nil {
				t.Error("a stopped deploy was recorded as an upgrade")
			}
			if phase == "Plan" {
				packed = []string{"--to", i.lastDeploy(t)}
			}
		})
	}
	t.Run("the lock, and watching who holds it", func(t *testing.T) {
		i.slowBuild(t, true)
		holder := hot(t)
		holder.until(spinning + " Build ")
		other := hot(t)
		other.until("The deploy lock is held")
		other.keys("v")
		other.until("watching")
		other.until("load build definition") // what the holder's build says
		holder.keys("C-c")
		holder.until("Your deploy is still running")
		holder.keys("C-c")
		holder.exited()
		other.until("this is your own deploy again")
		other.until(spinning + " Build ")
		other.keys("C-c")
		other.until("Your deploy is still running")
		other.keys("C-c")
		other.exited()
		i.settled(t)
	})
	t.Run("Rule17 a terminal that cannot repaint", func(t *testing.T) {
		p := newPane(t, 80, 24, i.dir, append(i.env, "TERM=dumb"), binary(t))
		p.until("Choice \\(1 to \\d+\\):")
		p.keys("4", "Enter")
		p.until("deploy 1: .* cancelled")
		p.until("Number of a deploy to read")
		p.keys("Enter")
		p.until("Quit\nChoice")
		p.keys("quit", "Enter")
		if code, text := p.exited(); code != 0 {
			t.Errorf("exit %d\n%s", code, text)
		}
	})
	t.Run("a recorded deploy plays in the console", func(t *testing.T) {
		out, errs, code := run(t, i.dir, i.env, "history", "--output", "json", "--limit", "1")
		var past engine.Past
		if err := json.Unmarshal([]byte(out), &past); err != nil || code != 0 {
			t.Fatalf("history: exit %d, %v\n%s%s", code, err, out, errs)
		}
		p := newPane(t, 80, 24, i.dir, i.env, binary(t), "replay", past.ID, "--speed", "50")
		p.until("replay ended")
		p.keys("q")
		if code, text := p.exited(); code != 0 {
			t.Errorf("exit %d\n%s", code, text)
		}
	})
	i.slowBuild(t, false)
	t.Run("Rule7 ctrl-c twice in Commit", func(t *testing.T) {
		p := hot(t, packed...)
		p.until("D Deploy")
		lift := i.fly.Faults().Inject(local.Target{Service: local.API, Action: local.ActionExec}, 0, local.Delay(500*time.Millisecond))
		defer lift()
		p.keys("G", "D") // the plan's end must have been on the screen
		p.until("[✓⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] Commit ")
		p.keys("C-c")
		p.until("still running|succeeded")
		p.keys("C-c")
		if code, text := p.exited(); code != 0 && code != 5 && code != 130 {
			t.Errorf("exit %d\n%s", code, text)
		}
		i.settled(t)
	})
	t.Run("Rule3 the deploy ends though the terminal does not read", func(t *testing.T) { i.deployUnread(t, packed...) })
}

// deployUnread confirms a deploy, and reads nothing of the terminal any more until another console says that it is done.
func (i *interrupted) deployUnread(t *testing.T, more ...string) {
	cmd := exec.Command(binary(t), append([]string{"hot"}, more...)...)
	cmd.Dir, cmd.Env = i.dir, append(os.Environ(), append(i.env, "CI=", "TERM=xterm-256color", "HOME="+t.TempDir())...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	seen := readUntil(t, terminal, "", "D Deploy")
	if _, err := terminal.WriteString("GD"); err != nil {
		t.Fatal(err)
	}
	// Nobody is deploying: it has ended already.
	if out, errs, code := run(t, i.dir, i.env, "watch"); code != 0 && !strings.Contains(errs, "nobody is deploying") {
		t.Fatalf("the deploy does not end while nobody reads its terminal: exit %d\n%s%s", code, out, errs)
	}
	seen = readUntil(t, terminal, seen, "succeeded")
	seen = readUntil(t, terminal, seen, "deploy again") // before that q asks
	if _, err := terminal.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, terminal, seen, "flydeploy replay")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// readUntil reads from a terminal until a text has come, and gives all that was read.
func readUntil(t *testing.T, terminal *os.File, seen, text string) string {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for !strings.Contains(seen, text) {
		n, err := terminal.Read(buffer)
		if seen += string(buffer[:n]); err != nil {
			t.Fatalf("%v before %q came\n%q", err, text, seen)
		}
	}
	return seen
}
