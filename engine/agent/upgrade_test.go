package agent

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// same fails where a fact differs although it must not.
func same(t *testing.T, before, after map[string]string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if before[key] != after[key] || before[key] == "" {
			t.Errorf("%s changed from %s to %s", key, before[key], after[key])
		}
	}
}

// are fails where a fact is not what it must be.
func are(t *testing.T, facts, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if facts[key] != value {
			t.Errorf("%s is %s, want %s", key, facts[key], value)
		}
	}
}

var (
	everything = []string{"accounts", "sum", "pids", "account", "door", "events", "prices", "pulse", "show"}
	settled    = map[string]string{"suspended": "0", "snapshots": "0"}
)

// names gives name and severity of each finding, in order, but that of a slow rollback: on a busy computer it would be.
func names(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		if f.Name != "slow_rollback" {
			all = append(all, f.Name+":"+f.Severity)
		}
	}
	slices.Sort(all)
	return all
}

func TestUpgradeKeepsProcessesAndMigratesTheirStates(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	before := n.facts()
	o := orderOf(t, tarballOf(t, 2).bytes)
	o.Rehearse = true
	s, staged := n.orderBy(n.realExec, o)
	same(t, before, n.facts(), everything...)
	if got := names(staged.Findings); !slices.Equal(got, []string{"calls_in_new_code:info", "hidden_process:warn", "keeps_old_code:info", "no_startup_hook:warn", "rehearsed:info", "rehearsed:info", "rehearsed:info"}) {
		t.Errorf("findings: %v", staged.Findings)
	}
	for _, f := range staged.Findings {
		if f.Subject == "Ledger.Account" && f.Name == "rehearsed" && f.Detail != "20 of 300 processes rehearsed, all migrate: %{id: integer, n: integer} → %Ledger.Account{currency: atom, id: integer, n: integer}" {
			t.Error(f.Detail)
		}
	}
	want := []Process{
		{Module: "Ledger.Account", Kind: "gen_server", Count: 300},
		{Module: "Ledger.Audit", Kind: "gen_event", Count: 1},
		{Module: "Ledger.Door", Kind: "gen_statem", Count: 1},
		{Module: "Ledger.Prices", Kind: "agent", Count: 1},
	}
	if !slices.Equal(staged.Processes, want) {
		t.Errorf("processes: %v", staged.Processes)
	}
	if staged.Counts != (Counts{ModulesChanged: 6, ModulesAdded: 2, Files: 10, Processes: 303, Migrating: 302}) {
		t.Errorf("counts: %+v", staged.Counts)
	}

	done := n.commit(s, staged)
	checkCommit(t, done)
	after := n.facts()
	same(t, before, after, "sum", "pids", "pulse")
	are(t, after, settled)
	are(t, after, map[string]string{
		"accounts": `%{"Ledger.Account" => 300}`, "account": "2", "door": `{:closed, %{since: 0, v2: true}} mode=closed 2`,
		"events": "[:v2, :v1]", "prices": "%{apple: 3} via=2", "show": "tuple 2 int 1",
	})
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.checkFiles(2)
}

func checkCommit(t *testing.T, done Status) {
	t.Helper()
	if done.State != Committed || done.Error != nil || len(done.Failures) > 0 || len(done.Unplaced) > 0 {
		t.Fatalf("%s %v %v %v", done.State, done.Error, done.Failures, done.Unplaced)
	}
	// All that no migration names is loaded after them.
	if done.Migrated != 302 || done.Suspended != 303 || done.Deferred != 4 {
		t.Errorf("migrated %d of %d, deferred %d", done.Migrated, done.Suspended, done.Deferred)
	}
	var phases []string
	for _, p := range done.Phases {
		phases = append(phases, p.Name+":"+p.Status)
	}
	want := "reload:done extract:done detection:done arm:done suspension:done code_load:done migration:done resume:done liveview:skipped"
	if got := strings.Join(phases, " "); got != want {
		t.Errorf("phases: %s", got)
	}
	if us := done.ResumedAtUS - done.SuspendedAtUS; us <= 0 || us > done.SuspendedUS { // an attempt before it may have taken longer
		t.Errorf("suspended for %d µs, from %d to %d", done.SuspendedUS, done.SuspendedAtUS, done.ResumedAtUS)
	}
	if at := time.UnixMicro(done.SuspendedAtUS); time.Since(at).Abs() > time.Minute {
		t.Errorf("suspended at %v", at)
	}
}

// checkFiles checks that the release's files are those of version, in the folders that were there, and nothing else is left.
func (n *node) checkFiles(version int) {
	n.t.Helper()
	got := n.eval(`
		beam = fn path -> path |> File.read!() |> :code.module_md5() end
		lib = Application.app_dir(:ledger)
		loaded = for {m, f} <- :code.all_loaded(), is_list(f), String.starts_with?("#{m}", "Elixir.Ledger"), do: {m, to_string(f)}
		differ = for {m, f} <- loaded, beam.(f) != m.module_info(:md5), do: m
		{:ok, [{:application, :ledger, keys}]} = :file.consult(Path.join(lib, "ebin/ledger.app"))
		left = Path.wildcard(System.get_env("RELEASE_ROOT") <> "/**/.flydeploy-*", match_dot: true) ++ Path.wildcard(System.tmp_dir!() <> "/flydeploy-*")
		IO.inspect({differ, to_string(keys[:vsn]), Path.basename(lib), left, File.read!(Path.join(lib, "priv/static/app.txt"))}, width: 1000)`)
	want := `{[], "1.` + string(rune('0'+version)) + `.0", "ledger-1.1.0", [], "one\n"}`
	if got != want {
		n.t.Errorf("files: %s, want %s", got, want)
	}
}

func TestFailedMigrationIsAsIfItHadNotHappened(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	before := n.facts()
	s, done := n.upgrade(3)
	if done.State != RolledBack || len(done.Killed) > 0 || done.Migrated != 0 {
		t.Fatalf("%s, killed %v, migrated %d", done.State, done.Killed, done.Migrated)
	}
	after := n.facts()
	same(t, before, after, everything...)
	are(t, after, settled)
	checkFailures(t, done)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.checkFiles(1)
	if got := n.eval(`IO.puts(Enum.sum(for n <- 1..300, do: Ledger.Account.add(n, 1)) - 300)`); got != before["sum"] {
		t.Errorf("after the rollback the accounts hold %s, want %s", got, before["sum"])
	}
	// The old slots are free again for the next upgrade.
	s, done = n.upgrade(2)
	checkCommit(t, done)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.upgradeAgain(t)
}

// checkFailures checks the report of version 3's migration: process, exception, stack and shapes, no value.
func checkFailures(t *testing.T, done Status) {
	t.Helper()
	if done.FailuresTotal != 6 || len(done.Failures) != 2 {
		t.Fatalf("%d failures in %d groups", done.FailuresTotal, len(done.Failures))
	}
	failures := map[string]Failure{}
	for _, f := range done.Failures {
		failures[f.Exception] = f
		if f.PID == "" || f.Module != "Ledger.Account" || f.Reason != "raised" || f.Count != 3 || f.StateBefore != "%{id: integer, n: integer}" {
			t.Errorf("failure: %+v", f)
		}
		if !strings.Contains(strings.Join(f.Stack, "\n"), "lib_3/account.ex") {
			t.Errorf("the stack does not name the source: %q", f.Stack)
		}
	}
	for _, want := range []string{
		"** (RuntimeError) account cannot be migrated", "** (KeyError) key :missing not found in: %{n: integer, secret: string}",
	} {
		if _, ok := failures[want]; !ok {
			t.Errorf("exceptions are %q", slices.Collect(maps.Keys(failures)))
		}
	}
}

// upgradeAgain upgrades a node of version 2 to it: that does nothing.
func (n *node) upgradeAgain(t *testing.T) {
	t.Helper()
	before := n.facts()
	s, staged := n.stage(2)
	if !staged.UpToDate || staged.Counts != (Counts{}) {
		t.Errorf("up to date: %v, %+v", staged.UpToDate, staged.Counts)
	}
	if done := n.commit(s, staged); done.State != Committed || done.Suspended != 0 {
		t.Errorf("%s, suspended %d", done.State, done.Suspended)
	}
	same(t, before, n.facts(), everything...)

	// The Task still runs version 1 of a module that version 3 changes again: there is no third slot for it.
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, staged = n.stage(3)
	if !slices.Contains(names(staged.Findings), "lingering:block") {
		t.Errorf("findings: %v", names(staged.Findings))
	}
	armed := n.arm(s, staged)
	if armed.State != Failed || armed.Error == nil || armed.Error.Name != "lingering" {
		t.Errorf("arming: %s %v", armed.State, armed.Error)
	}
	same(t, before, n.facts(), everything...)
}
