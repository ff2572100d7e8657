package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// mostMemory is what a console's process may have in memory at most with 1,000 machines, in bytes.
const mostMemory = 100_000_000

// TestScaleOfAProcess measures the memory of a console that is a process of its own: make bench-scale. Its fleet is served by this one.
func TestScaleOfAProcess(t *testing.T) {
	const machines = 1000
	if !slices.Contains(strings.Fields(os.Getenv("FLYDEPLOY_SCALE")), strconv.Itoa(machines)) {
		t.Skip("make bench-scale")
	}
	binary := filepath.Join(t.TempDir(), "flydeploy")
	if out, err := exec.Command("go", "build", "-o", binary, "flydeploy").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, output := range []string{"plain", "json", "screen"} {
		began := time.Now()
		most, ended := consoleOn(t, machines, binary, output)
		fmt.Printf("%d machines, a process with %s: %.1f MB at most, %.0f s, %s\n", machines, output, float64(most)/1e6, time.Since(began).Seconds(), ended)
		if most == 0 || most > mostMemory {
			t.Errorf("with %s it had %d bytes in memory", output, most)
		}
	}
}

// consoleOn has a process upgrade a fleet, and gives its memory at most and how the deploy has ended.
func consoleOn(t *testing.T, machines int, binary, output string) (most int64, ended engine.Outcome) {
	w := agenttest.NewWorld(machines)
	w.SetTiming(agenttest.Timing{Tick: 50 * time.Millisecond, Pack: 6 * time.Second, Upload: 2 * time.Second, Create: 5 * time.Second})
	w.Behave("", func(b *agenttest.Behaviour) {
		aLargeRelease(b)
		b.Stages, b.Arms, b.Commits = 1500*time.Millisecond, 400*time.Millisecond, 30*time.Millisecond
	})
	s := serve(t, w)
	home := t.TempDir()
	args := []string{"hot", "--app", agenttest.App, "--image", agenttest.Image2, "--skip-build", "--yes", "--bake", "10", "--max-failed", "20"}
	if output != "screen" {
		args = append(args, "--output", output)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home, "FLY_CONFIG_DIR=" + home, "TERM=xterm-256color",
		"FLY_FLAPS_BASE_URL=" + s.URL, "FLY_API_BASE_URL=" + s.URL, "FLY_API_TOKEN=FlyV1 fm2_x"}
	var said bytes.Buffer
	terminal, err := started(cmd, output == "screen")
	if err != nil {
		t.Fatal(err)
	}
	printed := make(chan []byte)
	go func() {
		defer close(printed)
		for {
			buffer := make([]byte, 32<<10)
			n, err := terminal.Read(buffer)
			if printed <- buffer[:n]; err != nil {
				return
			}
		}
	}()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for running := true; running; {
		select {
		case text, more := <-printed:
			running = more
			said.Write(text)
		case <-look.C:
			most = max(most, memoryOf(cmd.Process.Pid))
			if output == "screen" && s.outcome() != "" { // it stays until somebody has read it
				_ = cmd.Process.Signal(os.Interrupt)
			}
		}
	}
	_ = cmd.Wait()
	if ended = s.outcome(); ended != engine.OutcomeSucceeded {
		t.Errorf("with %s it ended %q:\n%s", output, ended, said.String()[max(0, said.Len()-3000):])
	}
	return most, ended
}

// outcome is how the deploy has ended that is recorded in the bucket, "" while it has not.
func (s *served) outcome() engine.Outcome {
	var r engine.Result
	for _, key := range s.world.Objects("releases/" + agenttest.App + "-results/") {
		if !strings.Contains(key, "/events") {
			continue
		}
		lines := bytes.Split(bytes.TrimSpace(s.world.Object(key)), []byte("\n"))
		if json.Unmarshal(lines[len(lines)-1], &r) == nil && r.Type == "result" {
			return r.Outcome
		}
	}
	return ""
}

// started starts a command before a terminal, or with a pipe.
func started(cmd *exec.Cmd, before bool) (io.Reader, error) {
	if before {
		return pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 160})
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	return out, cmd.Start()
}

var peak = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// memoryOf gives how much of a process has been in memory at most, in bytes; 0 where it has ended, or the system does not tell.
func memoryOf(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	found := peak.FindSubmatch(status)
	if found == nil {
		return 0
	}
	kB, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return kB << 10
}
