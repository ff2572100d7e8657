package test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkFirstPaint measures the console from its start to the first text on the terminal.
func BenchmarkFirstPaint(b *testing.B) {
	o := newOperated(b, 2)
	name := binary(b)
	var times []time.Duration
	for b.Loop() {
		times = append(times, firstPaint(b, o, name))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-median")
}

// firstPaint starts the console on a terminal of its own and waits for the app's name.
func firstPaint(b *testing.B, o *operated, name string) time.Duration {
	b.Helper()
	cmd := exec.Command(name)
	cmd.Dir, cmd.Env = o.dir, append(os.Environ(), append(o.env, "TERM=xterm-256color", "CI=")...)
	started := time.Now()
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = terminal.Close()
	}()
	var screen []byte
	buffer := make([]byte, 1<<16)
	for {
		n, err := terminal.Read(buffer)
		screen = append(screen, buffer[:n]...)
		if bytes.Contains(screen, []byte("counter")) {
			return time.Since(started)
		}
		if err != nil {
			b.Fatalf("%v after %q", err, screen)
		}
	}
}
