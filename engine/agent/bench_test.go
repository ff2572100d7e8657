package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// The sizes, as PROCESSESxMODULES, and how many upgrades of each kind are compared; BENCH_SIZES and BENCH_PAIRS choose others.
const (
	benchSizes = "100x10 100x200 1000x10 1000x200 10000x10 10000x200 50000x10 50000x200"
	benchPairs = 11
)

// benchPatience bounds one call into the VM: a purge with 50,000 processes takes its time.
const benchPatience = 20 * time.Minute

// BenchmarkWindow compares, in one VM for each size and interleaved, how long processes are suspended: by the agent as it is
// injected and ordered on Fly, by fly_deploy's sequence (testdata/bench/lib/upgrade.ex), with and without its log lines, and by
// the floor. "first" upgrades find no old code, "later" ones follow four others.
func BenchmarkWindow(b *testing.B) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, strings.Join(benchColumns, "\t")+"\t")
	for _, size := range strings.Fields(env("BENCH_SIZES", benchSizes)) {
		b.Run(size, func(b *testing.B) {
			for b.Loop() {
				compared := compareWindows(b, size)
				for _, row := range compared.rows(size) {
					fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
				}
			}
		})
	}
	_ = w.Flush()
	fmt.Printf("\nmilliseconds, medians of %s upgrades each; × are medians of the ratios to ours, pair by pair\n%s\n", env("BENCH_PAIRS", strconv.Itoa(benchPairs)), &table)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// A method of upgrading. agentMethod is ours.
const (
	agentMethod   = "agent"
	floorMethod   = "floor"
	quietMethod   = "fly_deploy"
	loggingMethod = "fly_deploy+log"
)

var benchColumns = []string{
	"size", "upgrade", "agent", "floor", "fly_deploy", "with log", "agent/floor", "fly_deploy ×", "with log ×",
	"longest call: agent", "floor", "fly_deploy", "with log", "p99.9 until armed",
}

// measured is one upgrade: its window and the longest call of a steady client while it went on.
type measured struct {
	window, call time.Duration
	// untilArmed is the client's p99.9 from the injection to armed, of the agent's.
	untilArmed time.Duration
	// phases are those of the agent's window.
	phases []Phase
}

// comparison holds the upgrades of one size: series, then method, then one for each pair.
type comparison map[string]map[string][]measured

func compareWindows(b *testing.B, size string) comparison {
	processes, modules, _ := strings.Cut(size, "x")
	pairs, err := strconv.Atoi(env("BENCH_PAIRS", strconv.Itoa(benchPairs)))
	if err != nil {
		b.Fatal(err)
	}
	n := newBenchNode(b, processes, modules)
	c := comparison{}
	methods := []string{agentMethod, floorMethod, quietMethod, loggingMethod}
	for range 4 {
		n.run(floorMethod)
	}
	for _, series := range []string{"later", "first"} {
		c[series] = map[string][]measured{}
		for pair := range pairs {
			for _, method := range methods {
				if series == "first" {
					n.evalWithin(benchPatience, `Bench.Upgrade.forget_old_code()`)
				}
				c[series][method] = append(c[series][method], n.run(method))
			}
			fmt.Fprintf(os.Stderr, "%s %s %d/%d: %s\n", size, series, pair+1, pairs, c.last(series))
			methods = append(methods[1:], methods[0])
		}
	}
	return c
}

// last tells the windows of a pair that has just been measured: it takes minutes until the table comes.
func (c comparison) last(series string) string {
	var told []string
	for method, all := range c[series] {
		last := all[len(all)-1]
		told = append(told, fmt.Sprintf("%s %v", method, last.window))
		for _, p := range last.phases {
			if slices.Contains([]string{"suspension", "code_load", "migration", "resume"}, p.Name) {
				told = append(told, fmt.Sprintf("%s's %s %.1f ms", method, p.Name, float64(p.US)/1000))
			}
		}
	}
	slices.Sort(told)
	return strings.Join(told, ", ")
}

// benchNode is a VM that goes to and fro between two releases.
type benchNode struct {
	*node
	releases []string // roots: the one that runs is the first
	tarballs []madeTarball
	changed  string // modules that differ
}

func newBenchNode(b *testing.B, processes, modules string) *benchNode {
	b.Helper()
	base, other := benchRelease("0"), benchRelease(modules)
	n := &benchNode{
		node:     startRelease(b, "bench", base, "BENCH_PROCESSES="+processes),
		releases: []string{base, other},
		tarballs: []madeTarball{makeTarball(b, "bench", base), makeTarball(b, "bench", other)},
		changed:  modules,
	}
	return n
}

// benchReleases are built once, by the number of modules that differ from the base release.
var benchReleases = map[string]string{}

func benchRelease(changed string) string {
	if benchReleases[changed] == "" {
		build := filepath.Join(testFolder, "bench-"+changed)
		benchReleases[changed] = buildRelease("bench", build, "BENCH_CHANGED="+changed, "BENCH_BUILD="+build)
	}
	return benchReleases[changed]
}

// run upgrades to the other release by a method, and checks that code and states arrived there.
func (n *benchNode) run(method string) measured {
	n.t.Helper()
	n.evalWithin(benchPatience, `Bench.Client.start()`)
	var m measured
	if method == agentMethod {
		m = n.byAgent()
	} else {
		m = n.byScript(method)
	}
	slices.Reverse(n.releases)
	slices.Reverse(n.tarballs)
	n.checkArrived(method)
	return m
}

func (n *benchNode) byScript(method string) measured {
	n.t.Helper()
	ebin, err := filepath.Glob(filepath.Join(n.releases[1], "lib", "bench-*", "ebin"))
	if err != nil || len(ebin) != 1 {
		n.t.Fatalf("the release's code: %v %v", ebin, err)
	}
	call := map[string]string{floorMethod: `floor("%s")`, quietMethod: `fly_deploy("%s", false)`, loggingMethod: `fly_deploy("%s", true)`}[method]
	us := n.evalWithin(benchPatience, fmt.Sprintf(`IO.puts(Bench.Upgrade.`+call+`)`, ebin[0]))
	return measured{window: n.duration(us), call: n.longestCall()}
}

func (n *benchNode) byAgent() measured {
	n.t.Helper()
	s, staged := n.order(orderFor(n.t, "bench", n.tarballs[1].bytes))
	armed := n.arm(s, staged)
	if armed.State != Armed {
		n.t.Fatalf("%s: %v %v", armed.State, armed.Error, armed.Findings)
	}
	untilArmed := n.duration(n.eval(`calls = Bench.Client.lap(); IO.puts(Enum.at(calls, trunc(length(calls) * 0.999)))`))
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	done := n.await(s, Committed)
	if done.State != Committed || done.Error != nil {
		n.t.Fatalf("%s: %v %v", done.State, done.Error, done.Failures)
	}
	m := measured{window: time.Duration(done.SuspendedUS) * time.Microsecond, call: n.longestCall(), untilArmed: untilArmed, phases: done.Phases}
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	return m
}

func (n *benchNode) longestCall() time.Duration {
	n.t.Helper()
	return n.duration(n.eval(`IO.puts(List.last(Bench.Client.stop()))`))
}

func (n *node) duration(us string) time.Duration {
	n.t.Helper()
	count, err := strconv.Atoi(us)
	if err != nil {
		n.t.Fatal(err)
	}
	return time.Duration(count) * time.Microsecond
}

// checkArrived checks that what was timed is an upgrade.
func (n *benchNode) checkArrived(method string) {
	n.t.Helper()
	modules, version := 200, 1
	if strings.HasSuffix(n.releases[0], "bench-"+n.changed+"/prod/rel/bench") {
		version = 2
		modules, _ = strconv.Atoi(n.changed)
	}
	got := n.evalWithin(benchPatience, `{modules, states} = Bench.Upgrade.versions(); IO.inspect({modules, Map.keys(states)})`)
	if want := fmt.Sprintf("%d => %d", version, modules); !strings.Contains(got, want) || !strings.HasSuffix(got, fmt.Sprintf("[%d]}", version)) {
		n.t.Fatalf("%s left the VM with %s, want %s and all states", method, got, want)
	}
}

// rows are a size's lines of the table.
func (c comparison) rows(size string) [][]string {
	var rows [][]string
	for _, series := range []string{"first", "later"} {
		all := c[series]
		row := []string{size, series}
		for _, method := range []string{agentMethod, floorMethod, quietMethod, loggingMethod} {
			row = append(row, ms(all[method], func(m measured) time.Duration { return m.window }))
		}
		row = append(row, ratio(all[agentMethod], all[floorMethod]), ratio(all[quietMethod], all[agentMethod]), ratio(all[loggingMethod], all[agentMethod]))
		for _, method := range []string{agentMethod, floorMethod, quietMethod, loggingMethod} {
			row = append(row, ms(all[method], func(m measured) time.Duration { return m.call }))
		}
		rows = append(rows, append(row, ms(all[agentMethod], func(m measured) time.Duration { return m.untilArmed })))
	}
	return rows
}

func ms(all []measured, of func(measured) time.Duration) string {
	var values []float64
	for _, m := range all {
		values = append(values, inMS(of(m)))
	}
	return fmt.Sprintf("%.1f", median(values))
}

func ratio(of, to []measured) string {
	var ratios []float64
	for i := range of {
		ratios = append(ratios, float64(of[i].window)/float64(to[i].window))
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
