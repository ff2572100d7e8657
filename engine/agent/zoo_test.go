package agent

import (
	"archive/tar"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// zoos are the releases of testdata/zoo, which has every kind of process that an upgrade meets, by version.
var zoos = map[int]func() string{1: sync.OnceValue(func() string { return buildZoo(1) }), 2: sync.OnceValue(func() string { return buildZoo(2) })}

func buildZoo(version int) string {
	build := filepath.Join(testFolder, fmt.Sprintf("zoo-%d", version))
	return buildRelease("zoo", build, fmt.Sprintf("ZOO=%d", version), "ZOO_BUILD="+build)
}

// zooUpgrade is the order to upgrade the zoo to its second version, with another static manifest.
func zooUpgrade(t *testing.T) Order {
	t.Helper()
	return orderFor(t, "zoo", editTar(t, tarballIn(t, "zoo", zoos[2]()).bytes, otherScript))
}

func otherScript(h *tar.Header, body []byte) []byte {
	if strings.HasSuffix(h.Name, "/manifest.json") {
		return []byte(`{"app.js": "app-2.js"}`)
	}
	if strings.HasSuffix(h.Name, "/app-1.js") {
		h.Name = strings.Replace(h.Name, "app-1", "app-2", 1)
	}
	return body
}

func (n *node) tour() map[string]string {
	n.t.Helper()
	states := map[string]string{}
	for line := range strings.Lines(n.eval("Zoo.Tour.states()")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		states[key] = value
	}
	return states
}

// Every kind of process is migrated, left alone or reported, as it should be; two applications of an umbrella change at once.
func TestEveryKindOfProcess(t *testing.T) {
	t.Parallel()
	n := startRelease(t, "zoo", zoos[1]())
	// Nearly every open page is one of these.
	if asleep := n.eval(`IO.inspect(Zoo.Tour.asleep([:view, :still, :room]))`); asleep != "true" {
		t.Fatalf("views and channels hibernate: %s", asleep)
	}
	s, staged := n.order(zooUpgrade(t))
	if staged.State != Staged {
		t.Fatalf("%s %v", staged.State, staged.Error)
	}
	checkZooPlan(t, staged)
	done := n.commit(s, staged)
	if done.State != Committed || done.Error != nil || len(done.Failures) > 0 {
		t.Fatalf("%s %v %v", done.State, done.Error, done.Failures)
	}
	are(t, n.tour(), map[string]string{
		"plain": "[2, 1]", "sleeper": "[2, 1]", "labelled": "[2, 1]", "masked": "[2, 1]", "drowsy": "[2, 1]", "dreamer": "[2, 1]", "door": "[2, 1]", "events": "[2, 1]",
		"worker": "[2, 1]", "other": "[:other]", "room": "[2]", "keeper": "{Keeper, [2, 1]}",
		"by_fun": "[1]", "by_name": "[1]", "special": "[1]",
		"view":     `{"view 2 component 2 of 1", [migrated: 2, script: "app-2.js"]}`,
		"still":    `{"component 2 of 1", []}`,
		"manifest": `"{\"app.js\": \"app-2.js\"}"`, "suspended": "0",
	})
	if done.Views != 2 {
		t.Errorf("%d views show the new code", done.Views)
	}
	// Pages are watched, also those whose own code has not changed.
	n.eval("Process.exit(Process.whereis(:still), :kill)")
	n.follow(s, done, func(s Status) bool { return s.Crashed == done.Crashed+1 })
	if got := n.eval("IO.puts(Zoo.Newcomer.hello())"); got != "new" {
		t.Errorf("the added module answers %q", got)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()

	// What was removed is still on disk and listed; nothing else is left to do.
	_, again := n.order(zooUpgrade(t))
	if !again.UpToDate || again.Counts.Processes != 0 {
		t.Errorf("the second time: up to date %v, %+v", again.UpToDate, again.Counts)
	}
}

func checkZooPlan(t *testing.T, staged Status) {
	t.Helper()
	kinds := map[string]string{}
	for _, p := range staged.Processes {
		kinds[p.Module] = fmt.Sprintf("%s %d", p.Kind, p.Count)
	}
	are(t, kinds, map[string]string{
		"Zoo.Plain": "gen_server 2", "Zoo.Labelled": "gen_server 4", "Zoo.Worker": "gen_server 1", "Zoo.Door": "gen_statem 1",
		"Zoo.Handler": "gen_event 1", "Zoo.Store": "agent 2", "Zoo.View": "gen_server 1", "Zoo.Room": "gen_server 1", "Keeper": "gen_server 1",
	})
	if len(kinds) != 9 {
		t.Errorf("processes: %v", staged.Processes)
	}
	want := "calls_in_new_code:info keeps_old_code:info module_in_use:block module_removed:info no_startup_hook:warn open_pages:info special_process:warn supervisor_changed:warn"
	// What a rollback would take is measured: long on a busy computer.
	got := slices.DeleteFunc(names(staged.Findings), func(name string) bool { return strings.HasPrefix(name, "slow_rollback:") })
	if strings.Join(got, " ") != want {
		t.Errorf("findings: %s of %+v", got, staged.Findings)
	}
	for _, f := range staged.Findings {
		if f.Name == "module_in_use" && (f.Subject != "Zoo.Extinct" || !strings.Contains(f.Detail, "#PID<")) {
			t.Errorf("in use: %+v", f)
		}
	}
}

// Processes that are born while an upgrade goes on come out of it in the new version.
func TestProcessesBornAroundTheSwap(t *testing.T) {
	t.Parallel()
	n := startRelease(t, "zoo", zoos[1]())
	s, staged := n.order(zooUpgrade(t))
	armed := n.arm(s, staged)
	n.eval("Zoo.Tour.breed()")
	if _, err := s.Commit(t.Context(), armed.Seq); err != nil {
		t.Fatal(err)
	}
	done := n.await(s, Committed)
	if done.State != Committed || len(done.Failures) > 0 {
		t.Fatalf("%s %v %v", done.State, done.Error, done.Failures)
	}
	got := n.eval("send(:breeder, {:states, self()}); receive do: ({supervised, orphans} -> IO.inspect({Map.keys(supervised), Map.keys(orphans) -- [[2, 2]]}))")
	if got != "{[[2, 1]], [[2, 1]]}" {
		t.Errorf("born before the upgrade, and not in its second version: %s", got)
	}
	are(t, n.tour(), map[string]string{"suspended": "0"})
}
