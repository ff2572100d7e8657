package test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"flydeploy/examples/counter"
	"flydeploy/examples/counter/countertest"
)

// careless accepts what the plan of version 4 of the sample blocks: its migrations are missing, so that whoever counts crashes.
var careless = []string{
	"--accept", "stale_struct", "--accept", "stale_shape", "--accept", "children_changed", "--accept", "nothing_hot", "--accept", "slow_rollback", "--accept", "taken_back",
	"--strategy", "canary", "--rehearse=none",
}

// A canary of three machines on real nodes, by keys in tmux and by flags as in CI: held and promoted, not well, left, gone on with, taken back.
// What has not taken it is not touched.
func TestACanaryByKeysAndByFlags(t *testing.T) {
	if os.Getenv("FLYDEPLOY_SOAK") == "" {
		t.Skip("takes minutes: make soak")
	}
	t.Parallel()
	c := &canaries{operated: newOperated(t, 3)}
	image, err := c.fly.Push(t.Context(), countertest.Release(t, 4), "")
	if err != nil {
		t.Fatal(err)
	}
	c.sick = image.Ref
	t.Run("taken back by a key", func(t *testing.T) {
		p := c.console(t, c.sick)
		c.crashes(t, p)
		p.keys("b")
		p.until("Taking it back ends processes")
		p.keys("b")
		c.over(t, p, 6, "unhealthy", "was taken back from 1 machine")
		c.run(t, "1.0.0", "1.0.0", "1.0.0")
	})
	t.Run("left by a key", func(t *testing.T) {
		p := c.console(t, c.sick)
		c.crashes(t, p)
		p.keys("s")
		c.over(t, p, 6, "unhealthy", "4.0.0 runs on 1 of 3 machines, and is not well")
		c.run(t, "1.0.0", "1.0.0", "4.0.0")
	})
	t.Run("gone on with by a flag, and a resume", func(t *testing.T) {
		c.flags(t, 6, "4.0.0 runs on 3 of 3 machines, and is not well", "--resume", "--on-sick", "continue")
		c.run(t, "4.0.0", "4.0.0", "4.0.0")
	})
	c.rewind(t)
	for how, end := range map[string]struct {
		says string
		runs [3]string
	}{
		"stop": {"4.0.0 runs on 1 of 3 machines, and is not well", [3]string{"1.0.0", "1.0.0", "4.0.0"}},
		"back": {"was taken back from 1 machine", [3]string{"1.0.0", "1.0.0", "1.0.0"}},
	} {
		t.Run("by the flag "+how, func(t *testing.T) {
			c.flags(t, 6, end.says, "--image", c.sick, "--skip-build", "--on-sick", how)
			c.run(t, end.runs[0], end.runs[1], end.runs[2])
			c.rewind(t)
		})
	}
	t.Run("held by a flag, and promoted when its time is over", func(t *testing.T) {
		const bake, pause = 20 * time.Second, 15 * time.Second
		begun := time.Now()
		c.flags(t, 0, "3 of 3 machines run it, and it is well", "--image", c.image, "--skip-build", "--pause="+pause.String())
		if took := time.Since(begun); took < bake+pause+bake {
			t.Errorf("it took %s: it was not held between the waves", took)
		}
		c.run(t, "2.0.0", "2.0.0", "2.0.0")
		c.rewind(t)
	})
	t.Run("on trial by flags", func(t *testing.T) {
		try := func(want int, end string, args ...string) {
			t.Helper()
			c.flags(t, want, "on trial until", "--trial", "10m", "--image", c.sick, "--skip-build", "--on-sick", "continue")
			if out, _, _ := run(t, c.dir, c.env, "status"); !strings.Contains(out, "4.0.0 is on trial on 3 machines until") {
				t.Errorf("status says\n%s", out)
			}
			if out, errs, code := run(t, c.dir, c.env, "confirm"); code != 3 || !strings.Contains(out+errs, "is not well, and was not confirmed") {
				t.Errorf("confirmed though it is not well: exit %d\n%s%s", code, out, errs)
			}
			out, errs, code := run(t, c.dir, c.env, append([]string{"confirm"}, args...)...)
			if code != 0 || !strings.Contains(out+errs, end) {
				t.Errorf("confirm %v: exit %d\n%s%s", args, code, out, errs)
			}
		}
		try(6, "taken back, 0 of 3 machines run it, all run 1.0.0 again", "--back")
		c.run(t, "1.0.0", "1.0.0", "1.0.0")
		try(6, "confirmed, 3 of 3 machines run it", "--accept", "unhealthy")
		c.run(t, "4.0.0", "4.0.0", "4.0.0")
		c.rewind(t)
	})
	t.Run("held and promoted by keys", func(t *testing.T) {
		p := c.console(t, c.image)
		p.until("wave 1 of 2: watched, ")
		p.keys("H")
		p.until("held, watched for ")
		c.run(t, "1.0.0", "1.0.0", "2.0.0")
		p.keys("N")
		p.until("wave 2 of 2: watched, ")
		p.keys("N")
		c.over(t, p, 0, "succeeded", "3 of 3 machines")
		c.run(t, "2.0.0", "2.0.0", "2.0.0")
	})
}

// canaries is a fleet on which versions are deployed by canary.
type canaries struct {
	*operated
	sick    string // version 4, pushed
	crashed int    // counters, each of which crashes once: it starts again with a state of version 4
}

// console deploys an image from tmux, and confirms the plan.
func (c *canaries) console(t *testing.T, image string) *pane {
	p := newPane(t, 120, 40, c.dir, c.env, append([]string{binary(t), "hot", "--skip-build", "--image", image, "--bake", "300"}, careless...)...)
	p.until("D Deploy")
	p.keys("G", "D")
	return p
}

// counter is the application on a machine.
func (c *canaries) counter(id string) *counter.Client {
	return counter.NewClient(func(ctx context.Context) (net.Conn, error) { return c.fly.Dial(ctx, id, 8080) })
}

func (c *canaries) version(t *testing.T, id string) string {
	t.Helper()
	s, err := c.counter(id).Snapshot(t.Context())
	if err != nil {
		t.Fatalf("machine %s: %v\n%s", id, err, c.fly.Console(id))
	}
	return s.Versions.Version
}

// run expects the versions of the machines, in whatever order.
func (c *canaries) run(t *testing.T, want ...string) {
	t.Helper()
	got := map[string]int{}
	for _, id := range c.ids {
		got[c.version(t, id)]++
	}
	for _, v := range want {
		got[v]--
	}
	for v, n := range got {
		if n != 0 {
			t.Errorf("%d machines more than expected run %s", n, v)
		}
	}
}

// crashes has the canary's first counter crash, as soon as it is watched, and waits for the question.
func (c *canaries) crashes(t *testing.T, p *pane) {
	t.Helper()
	p.until("wave 1 of 2: watched, ")
	c.count(t)
	crashed := time.Now()
	p.until("It is not well")
	t.Logf("asked on the screen %.1f s after the first crash", time.Since(crashed).Seconds())
	p.until("Counter.Server")
}

// count counts once on each machine of version 4.
func (c *canaries) count(t *testing.T) {
	t.Helper()
	c.crashed++
	for _, id := range c.ids {
		if c.version(t, id) != "4.0.0" {
			continue
		}
		if _, err := c.counter(id).Increment(t.Context(), c.crashed); err == nil {
			t.Errorf("the counter of machine %s has not crashed", id)
		}
	}
}

// over leaves the console, and checks what it says.
func (c *canaries) over(t *testing.T, p *pane, want int, says ...string) {
	t.Helper()
	p.until("4.0.0: |2.0.0: ")
	p.keys("q")
	code, text := p.exited()
	said := strings.Join(strings.Fields(text), " ")
	for _, s := range says {
		if code != want || !strings.Contains(said, s) {
			t.Errorf("exit %d, want %d and %q\n%s", code, want, s, text)
		}
	}
}

// flags deploys as CI does, while somebody counts on each machine that has version 4.
func (c *canaries) flags(t *testing.T, want int, says string, args ...string) {
	t.Helper()
	counting, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for n := 100; counting.Err() == nil; time.Sleep(time.Second) { // until the deploy has ended
			n++
			for _, id := range c.ids {
				if s, err := c.counter(id).Snapshot(counting); err == nil && s.Versions.Version == "4.0.0" {
					_, _ = c.counter(id).Increment(counting, n)
				}
			}
		}
	}()
	out, errs, code := run(t, c.dir, c.env, append(append([]string{"hot", "--yes", "--bake", "20"}, args...), careless...)...)
	if said := strings.Join(strings.Fields(out+errs), " "); code != want || !strings.Contains(said, says) {
		t.Errorf("exit %d, want %d and %q\n%s%s", code, want, says, out, errs)
	}
}

// rewind brings the machines back to version 1.
func (c *canaries) rewind(t *testing.T) {
	t.Helper()
	run(t, c.dir, c.env, "withdraw", "--yes") // nothing may be recorded
	for _, id := range c.ids {
		if err := c.fly.Restart(id); err != nil {
			t.Fatal(err)
		}
		if err := c.counter(id).AwaitHealth(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, "1.0.0", "1.0.0", "1.0.0")
}
