package deploy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
)

// figures are what a deploy of a fleet has taken.
type figures struct {
	result           engine.Result
	packed           time.Time     // when the upgrade was in the bucket
	resumed, ended   time.Duration // since then: the last machine's resume, and the end
	spans            []span
	traffic          traffic
	paced            int           // requests since the upgrade was in the bucket
	disturbed        time.Duration // from arming the last machine to its commit's answer
	written, objects int
	writtenBytes     int64
	events           int
	memory           uint64 // bytes of the heap at most, with garbage and the stand-in's
	live             held   // what lived on it, when that was most
	measured         int    // the number of events then
	cpu              time.Duration
	log              string
	instants         []instant
}

// scaled deploys to a fleet before the stand-in of the Machines API. It runs within a bubble of testing/synctest.
func scaled(t testing.TB, machines int, prepare func(*cloud, *engine.Settings)) figures {
	w := agenttest.NewWorld(machines)
	w.SetTiming(agenttest.Timing{Storage: 60 * time.Millisecond, Tick: 50 * time.Millisecond, Pack: 6 * time.Second, Upload: 2 * time.Second, Create: 5 * time.Second})
	w.Behave("", func(b *agenttest.Behaviour) {
		aLargeRelease(b)
		b.Stages, b.Arms, b.Commits = 1500*time.Millisecond, 400*time.Millisecond, 30*time.Millisecond
	})
	c := newCloud(w)
	settings := playedSettings()
	settings.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: 10 * time.Second}
	settings.Image = agenttest.Image2
	prepare(c, &settings)
	f := figures{}
	client := c.client()
	ports := portsOf(w.Console)
	ports.Fleet, ports.Leases = client, client
	before, began := cpuTime(), time.Now()
	packed := began
	d := deploy.Start(t.Context(), settings, ports)
	p := engine.NewProgress()
	for {
		batch, err := d.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			p.Apply(e)
			f.note(e)
			if os.Getenv("FLYDEPLOY_SCALE_LOG") != "" && (e.Machine == "" || e.Problem != nil || e.Log != "") {
				fmt.Printf("%6.1f %s %s %s %s%s %v\n", e.At.Sub(packed).Seconds(), e.Machine, e.Phase, e.Status, e.Text, e.Log, e.Problem)
			}
			if e.Phase == engine.PhaseUpload && e.Status == engine.StatusDone {
				packed = e.At
				f.paced = -c.requests()
			}
		}
		f.events += len(batch)
		if f.events%50 == 0 {
			f.measure()
		}
		f.measureHeld(machines)
	}
	f.measure()
	f.result, f.ended, f.cpu = d.Result(), time.Since(packed), cpuTime()-before
	for _, m := range f.result.Machines {
		f.resumed = max(f.resumed, time.UnixMicro(m.ResumedAtUS).Sub(packed))
	}
	f.traffic, f.packed, f.spans = c.counted, packed, c.spans
	f.paced += c.requests()
	f.disturbed = f.disturbedFor()
	f.written = len(w.Calls(agenttest.Match{Kinds: func(k agenttest.Kind) bool { return k == agenttest.WriteResult || k == agenttest.WriteMetadata }}))
	for _, key := range w.Objects("releases/") {
		f.objects++
		body := w.Object(key)
		f.writtenBytes += int64(len(body))
	}
	f.log = logOf(p)
	return f
}

func (f *figures) measure() {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	f.memory = max(f.memory, now.HeapInuse)
}

// measureHeld looks some twenty times a deploy at what is held, where somebody wants to know.
func (f *figures) measureHeld(machines int) {
	if os.Getenv("FLYDEPLOY_SCALE_MEMORY") == "" || f.events-f.measured < machines {
		return
	}
	f.measured = f.events
	if now := heldNow(); now.console > f.live.console {
		f.live = now
		f.profile(machines)
	}
}

func (f *figures) profile(machines int) {
	if os.Getenv("FLYDEPLOY_SCALE_PROFILE") == "" {
		return
	}
	w, _ := os.Create(fmt.Sprintf("%s.%d", os.Getenv("FLYDEPLOY_SCALE_PROFILE"), machines))
	pprof.Lookup("heap").WriteTo(w, 0)
	w.Close()
}

// disturbedFor tells how long a machine is armed and in its window, of the last one that committed.
func (f figures) disturbedFor() time.Duration {
	armed, longest := map[string]time.Time{}, time.Duration(0)
	for _, s := range f.spans {
		switch s.what {
		case "arm":
			armed[s.machine] = s.from
		case "commit":
			longest = s.from.Add(s.took).Sub(armed[s.machine])
		}
	}
	return longest
}

// clientPace is how many requests a second the client sends to Fly.
const clientPace = 500

// bound is how long the limits let a deploy take from the upgrade on: what a fleet of one machine takes, whose execs wait for Fly's limit
// of each; the time in which the client may send all further requests; and the turns of machines that may be disturbed at once.
func (f figures) bound(alone figures, machines int) time.Duration {
	turns := (machines - 1) / max(playedSettings().MaxConcurrency, machines/5)
	return alone.ended + time.Duration(f.paced-alone.paced)*time.Second/clientPace + time.Duration(turns)*alone.disturbed
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// outcomeCounts counts the machines by how they have ended.
func outcomeCounts(r engine.Result) string {
	count := map[engine.MachineOutcome]int{}
	for _, m := range r.Machines {
		count[m.Outcome]++
	}
	var all []string
	for outcome, n := range count {
		all = append(all, fmt.Sprintf("%d %s", n, outcome))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (f figures) row(machines int) string {
	return fmt.Sprintf("| %d | %.1f | %.1f | %d | %d | %d | %.1f | %d | %d | %.1f | %.0f | %.1f | %.1f | %.1f | %s: %s |", machines, f.resumed.Seconds(), f.ended.Seconds(),
		f.traffic.execs, f.traffic.requests, f.traffic.refused, float64(f.traffic.bytes)/1e6, f.written, f.objects, float64(f.writtenBytes)/1e6,
		float64(f.memory)/1e6, float64(f.live.console)/1e6, float64(f.live.standIn)/1e6, f.cpu.Seconds(), f.result.Outcome, outcomeCounts(f.result))
}

const figuresHead = `| machines | resumed s | ended s | execs | requests | 429 | MB of API | PUTs | objects | MB stored | heap MB | held MB | stand-in's MB | CPU s | result | bound s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|`

// TestScale prints the figures of the fleets whose sizes FLYDEPLOY_SCALE lists: make bench-scale. With troubles it draws FLYDEPLOY_SCALE_SEEDS
// times who meets which; FLYDEPLOY_SCALE_STEPS shows where the time went.
func TestScale(t *testing.T) {
	sizes := strings.Fields(os.Getenv("FLYDEPLOY_SCALE"))
	if len(sizes) == 0 {
		t.Skip("make bench-scale")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as package cli has it
	if os.Getenv("FLYDEPLOY_SCALE_MEMORY") != "" {
		runtime.MemProfileRate = 4 << 10
	}
	var alone figures
	synctest.Test(t, func(t *testing.T) { alone = scaled(t, 1, func(*cloud, *engine.Settings) {}) })
	for _, troubled := range []bool{false, true} {
		t.Run(fmt.Sprintf("troubled %t", troubled), func(t *testing.T) {
			fmt.Println(figuresHead)
			for _, size := range sizes {
				machines, err := strconv.Atoi(size)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case !troubled && machines == 6:
					printWaterfall(t)
				case troubled && machines < 100:
					continue
				}
				for seed := range seedsOf(troubled) {
					synctest.Test(t, func(t *testing.T) { scaledWithin(t, machines, troubled, seed+1, alone) })
				}
			}
		})
	}
}

// seedsOf gives how often a fleet is upgraded.
func seedsOf(troubled bool) int {
	if n, _ := strconv.Atoi(os.Getenv("FLYDEPLOY_SCALE_SEEDS")); troubled && n > 0 {
		return n
	}
	return 1
}

// scaledWithin upgrades a fleet, prints its figures, and holds it to the time that the limits give.
func scaledWithin(t *testing.T, machines int, troubled bool, seed int, alone figures) {
	var fates map[string]fate
	f := scaled(t, machines, func(c *cloud, s *engine.Settings) {
		c.seed(seed)
		if troubled {
			c.trouble(machines)
			s.MaxFailed = max(machines/50, 2)
		}
		fates = c.fates
	})
	bound := f.bound(alone, machines)
	fmt.Printf("%s %.1f |\n", f.row(machines), bound.Seconds())
	if os.Getenv("FLYDEPLOY_SCALE_STEPS") != "" {
		fmt.Println(f.steps(fates))
	}
	if os.Getenv("FLYDEPLOY_SCALE_LOG") != "" {
		fmt.Println(f.result.Problem, f.log)
	}
	most := bound * 13 / 10
	if machines <= 1000 {
		most = min(most, time.Minute)
	}
	if troubled {
		f.onlyThose(t, fates)
	}
	if !troubled && f.result.Outcome != engine.OutcomeSucceeded || (!troubled || machines >= 1000) && f.ended > most {
		t.Errorf("%d machines ended %s after %s, where the limits give %s: %v", machines, f.result.Outcome, f.ended, bound, f.result.Problem)
	}
}

// onlyThose fails unless all machines are upgraded that nothing has happened to.
func (f figures) onlyThose(t *testing.T, fates map[string]fate) {
	t.Helper()
	if f.result.Outcome != engine.OutcomePartial && f.result.Outcome != engine.OutcomeSucceeded {
		t.Errorf("it ended %s, %s: %v", f.result.Outcome, outcomeCounts(f.result), f.result.Problem)
	}
	for _, m := range f.result.Machines {
		if _, has := fates[m.ID]; !has && m.Outcome != engine.OutcomeCommitted {
			t.Errorf("machine %s, which nothing has happened to, is %s: %s", m.ID, m.Outcome, m.Error)
		}
	}
}

func printWaterfall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { fmt.Println(sixMachines(t)) })
}

// sixMachines upgrades six machines, half of whose execs take 300 ms or less, and shows where the time of the last one went.
func sixMachines(t *testing.T) string {
	f := scaled(t, 6, func(c *cloud, s *engine.Settings) { c.median = 300 * time.Millisecond })
	shown := fmt.Sprintf("six machines, half of the execs within 300 ms: resumed after %.1f s\n%s", f.resumed.Seconds(), f.waterfall())
	if f.result.Outcome != engine.OutcomeSucceeded || f.resumed > 6*time.Second {
		t.Errorf("they ended %s: %s", f.result.Outcome, shown)
	}
	return shown
}

// Six machines have resumed six seconds after the upgrade was in the bucket.
func TestSixMachinesWithinSixSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { sixMachines(t) })
}

// A fleet that is larger than what may be disturbed at once takes little longer than one machine, stays within Fly's limits, and no agent
// waits armed for others. What two silent, two dying and three slow machines meet is theirs alone.
func TestALargeFleetBeforeFlysLimits(t *testing.T) {
	const machines = 300
	for _, troubled := range []bool{false, true} {
		t.Run(fmt.Sprintf("troubled %t", troubled), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fates := map[string]fate{}
				f := scaled(t, machines, func(c *cloud, s *engine.Settings) {
					if troubled {
						c.trouble(machines)
						s.MaxFailed = 5
						fates = c.fates
					}
				})
				if f.onlyThose(t, fates); !troubled && f.result.Outcome != engine.OutcomeSucceeded || f.ended > time.Minute {
					t.Errorf("it ended %s after %s: %v", f.result.Outcome, f.ended, f.result.Problem)
				}
				if f.traffic.refused*100 > f.traffic.requests {
					t.Errorf("%d of %d requests were refused", f.traffic.refused, f.traffic.requests)
				}
				if most := 13 * machines; !troubled && f.traffic.execs > most {
					t.Errorf("it took %d execs for %d machines", f.traffic.execs, machines)
				}
			})
		})
	}
}
