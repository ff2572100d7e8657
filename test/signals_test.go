package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// toldToEnd: whatever ends a console from outside, the deploy settles first. Runs on a fleet that somebody else's test
// started, and leaves its machines as they are, on what an earlier deploy has put there.
func (o *operated) toldToEnd(t *testing.T, deployed string) {
	free := func(t *testing.T) {
		t.Helper()
		if out, errs, code := run(t, o.dir, o.env, "lock", "show"); code != 0 || !strings.Contains(out, "free") {
			t.Errorf("the lock afterwards: exit %d\n%s%s", code, out, errs)
		}
	}
	t.Run("nobody reads", func(t *testing.T) {
		p := o.start(t)
		p.until("Lock done")
		p.close()
		code, errs := p.wait()
		if code != 130 || !strings.Contains(errs, "broken pipe") || !strings.Contains(errs, "ended as: cancelled") {
			t.Errorf("exit %d\n%s", code, errs)
		}
		free(t)
		if out, _, _ := run(t, o.dir, o.env, "status", "--quick"); strings.Contains(out, "temporary machine") {
			t.Errorf("a temporary machine is left:\n%s", out)
		}
	})
	t.Run("a reader who reads no further", func(t *testing.T) {
		before := len(o.history(t))
		p := o.startInto(t, fullPipe, "--to", deployed)
		started := time.Now()
		for past := o.history(t); len(past) == before || past[0].Running; past = o.history(t) {
			if time.Since(started) > patience {
				t.Fatalf("the deploy does not end while nobody reads its output: %+v", past)
			}
			if len(past) > before {
				run(t, o.dir, o.env, "watch", past[0].ID) // until it has ended
			}
		}
		p.signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("a reader keeps the process alive\n%s", p.errors)
		}
		if code, errs := p.wait(); code != 1 || !strings.Contains(errs, "ended as: succeeded") || strings.Contains(errs, "stopping") {
			record, _, _ := run(t, o.dir, o.env, "replay", "--speed", "0", o.history(t)[0].ID)
			t.Errorf("exit %d\n%s\n%s", code, errs, record)
		}
		free(t)
	})
	t.Run("nobody reads a list", func(t *testing.T) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		cmd := exec.Command(binary(t), "agent")
		cmd.Stdout = writer
		if out, err := stderrOf(cmd); err == nil || cmd.ProcessState.ExitCode() != 128+int(syscall.SIGPIPE) || out != "" {
			t.Errorf("%v: %q", err, out)
		}
		writer.Close()
	})
	t.Run("interrupt settles", func(t *testing.T) { // hangup: TestConsoleEnds
		p := o.start(t)
		p.until("Orchestrator done")
		p.signal(syscall.SIGINT)
		if code, errs := p.wait(); code != 130 || !strings.Contains(errs, "stopping: nothing more starts") {
			t.Errorf("exit %d\n%s", code, errs)
		}
		free(t)
	})
	for _, c := range []struct {
		name    string
		signals []syscall.Signal
		says    []string // on stderr, to each signal
		settled bool
	}{
		{"SIGTERM settles in a hurry", []syscall.Signal{syscall.SIGTERM}, []string{"stopping"}, true},
		{"ctrl-c three times ends at once", []syscall.Signal{syscall.SIGINT, syscall.SIGINT, syscall.SIGINT},
			[]string{"stopping", "settling within 8 s", "ended at once"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := o.start(t)
			p.until("Orchestrator done")
			defer o.holdTemporary()()
			for i, s := range c.signals {
				p.signal(s)
				p.errors.until(t, c.says[i])
			}
			if code, errs := p.wait(); code != 130 {
				t.Errorf("exit %d\n%s", code, errs)
			}
			if c.settled {
				free(t)
			}
		})
	}
}

// holdTemporary keeps temporary machines from being destroyed, until lift.
func (o *operated) holdTemporary() (lift func()) {
	return o.fly.Faults().Inject(local.Target{Service: local.API, Action: local.ActionDestroy}, 0, local.Delay(time.Hour))
}

// process is `flydeploy hot --yes` under way, with plain output.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *os.File
	lines  *bufio.Scanner
	errors *said
	ended  chan struct{}
}

func (o *operated) start(t *testing.T) *process {
	t.Helper()
	return o.startInto(t, func(*testing.T, *os.File) {}, "--skip-build", "--image", o.image)
}

// startInto lets prepare have the pipe before the process writes into it.
func (o *operated) startInto(t *testing.T, prepare func(*testing.T, *os.File), what ...string) *process {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	prepare(t, writer)
	// On a busy computer a rollback is estimated to be slow.
	cmd := exec.Command(binary(t), append([]string{"hot", "--yes", "--accept", "slow_rollback", "--output", "plain"}, what...)...)
	cmd.Dir, cmd.Env = o.dir, append(os.Environ(), o.env...)
	p := &process{t: t, cmd: cmd, out: reader, lines: bufio.NewScanner(reader), errors: newSaid(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = writer, p.errors
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
		p.errors.end()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // where the test failed half-way
		<-p.ended
		reader.Close()
	})
	return p
}

// fullPipe writes into a pipe for as long as it takes anything.
func fullPipe(t *testing.T, writer *os.File) {
	t.Helper()
	if err := writer.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := writer.Write([]byte("full\n")); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// history are the recorded deploys, the newest first.
func (o *operated) history(t *testing.T) []engine.Past {
	t.Helper()
	out, errs, code := run(t, o.dir, o.env, "history", "--output", "json", "--limit", "0")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	var all []engine.Past
	for text := range strings.Lines(out) {
		var p engine.Past
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all = append(all, p)
	}
	return all
}

// until reads lines until one holds a text.
func (p *process) until(text string) {
	p.t.Helper()
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), text) {
			return
		}
	}
	p.t.Fatalf("no line with %q came\n%s", text, p.errors)
}

func (p *process) close() { p.out.Close() }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait gives the exit code and what was said on stderr.
func (p *process) wait() (int, string) {
	_, _ = io.Copy(io.Discard, p.out)
	<-p.ended
	return p.cmd.ProcessState.ExitCode(), p.errors.String()
}

func stderrOf(cmd *exec.Cmd) (string, error) {
	said := newSaid()
	cmd.Stderr = said
	err := cmd.Run()
	return said.String(), err
}

// said collects what a process writes, while it is read.
type said struct {
	mu      sync.Mutex
	text    strings.Builder
	over    bool
	changed *sync.Cond
}

func newSaid() *said {
	s := &said{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	return s.text.Write(p)
}

// end says that nothing more comes.
func (s *said) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.changed.Broadcast()
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// until waits until a text was written.
func (s *said) until(t *testing.T, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.Contains(s.text.String(), text) {
		if s.over {
			t.Fatalf("nothing said %q:\n%s", text, s.text.String())
		}
		s.changed.Wait()
	}
}
