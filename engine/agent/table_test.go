package agent

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// changesRelease is the release of testdata/changes.
var changesRelease = sync.OnceValue(func() string {
	build := filepath.Join(testFolder, "changes")
	return buildRelease("changes", build, "CHANGES_BUILD="+build)
})

// row is a row of testdata/table.
type row struct {
	id, group int
	what      string
	finds     []string // what the plan must find
	found     []string
	evidence  []string
}

// The table of changes: a row is right when what the plan says of it agrees with what is seen after the commit. A change that breaks
// something has a warning or a block, one that breaks nothing has none. One node is upgraded to all of them, some at a time. The soak
// has all rows, make test one of each kind; FLYDEPLOY_ROWS, a regular expression, chooses among all by what they are.
func TestTableOfChanges(t *testing.T) {
	t.Parallel()
	base := tarballIn(t, "changes", changesRelease()).bytes
	n := startRelease(t, "changes", changesRelease())
	out := t.TempDir()
	folder, err := filepath.Abs("testdata/table")
	if err != nil {
		t.Fatal(err)
	}
	rows := tableRows(t, n, folder, out)
	if outcomes := n.tableLook("nil"); slices.ContainsFunc(rows, func(r *row) bool { return outcomes[r.id] != "works" }) {
		t.Fatalf("before any upgrade: %v", outcomes)
	}
	harmless := 0
	for group := 0; ; group++ {
		dir := filepath.Join(out, strconv.Itoa(group))
		if _, err := os.Stat(dir); err != nil {
			break
		}
		n.tableUpgrade(orderFor(t, "changes", tableTarball(t, base, dir)), group, rows)
		outcomes := n.tableLook(strconv.Itoa(group))
		for _, r := range rows {
			if r.group != group {
				continue
			}
			breaks := outcomes[r.id] != "works"
			slices.Sort(r.found)
			if found := slices.Compact(r.found); breaks != (len(found) > 0) || !slices.Equal(found, r.finds) {
				t.Errorf("%d. %s:\n  the plan finds %v and should find %v; after the commit: %s\n  %s",
					r.id, r.what, found, r.finds, outcomes[r.id], strings.Join(r.evidence, "\n  "))
			}
			if !breaks {
				harmless++
			}
		}
	}
	want := [2]int{59, 22}
	if soak() {
		want = [2]int{354, 147}
	}
	if chosenRows == "" && [2]int{len(rows), harmless} != want {
		t.Errorf("%d rows, %d of them harmless, and not %v", len(rows), harmless, want)
	}
}

var chosenRows = os.Getenv("FLYDEPLOY_ROWS")

// tableRows has the node compile and start the rows.
func tableRows(t *testing.T, n *node, folder, out string) []*row {
	t.Helper()
	n.eval(fmt.Sprintf("Code.compile_file(%q)", filepath.Join(folder, "table.ex")))
	files, _ := filepath.Glob(filepath.Join(folder, "*.exs"))
	var rows []*row
	// All of them are compiled, twice.
	told := n.evalWithin(30*time.Minute, fmt.Sprintf("Table.prepare(%s, %q, %t, %q)", strings.ReplaceAll(fmt.Sprintf("%q", files), "\" \"", "\", \""), out, soak(), chosenRows))
	for line := range strings.Lines(told) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		id, _ := strconv.Atoi(fields[0])
		group, _ := strconv.Atoi(fields[1])
		rows = append(rows, &row{id: id, group: group, finds: strings.Fields(fields[2]), what: fields[3]})
	}
	return rows
}

// tableLook gives what is seen of each row of a release, or of all.
func (n *node) tableLook(group string) map[int]string {
	n.t.Helper()
	outcomes := map[int]string{}
	for line := range strings.Lines(n.eval("Table.look(" + group + ")")) {
		id, seen, _ := strings.Cut(strings.TrimSpace(line), "\t")
		number, _ := strconv.Atoi(id)
		outcomes[number] = seen
	}
	return outcomes
}

// tableUpgrade upgrades the node, and gives each row what the plan says of it.
func (n *node) tableUpgrade(o Order, group int, rows []*row) {
	n.t.Helper()
	s, staged := n.order(o)
	if staged.State != Staged {
		n.t.Fatalf("%s %v", staged.State, staged.Error)
	}
	if staged.FindingsTotal > len(staged.Findings) {
		n.t.Fatalf("only %d of %d findings are told", len(staged.Findings), staged.FindingsTotal)
	}
	ofRow := regexp.MustCompile(`\b[Tt](\d+)(?:[._]|\b)`)
	for _, f := range staged.Findings {
		text := fmt.Sprintf("%s %s %s: %s", f.Name, f.Severity, f.Subject, f.Detail)
		named := ofRow.FindStringSubmatch(f.Subject + " " + f.Detail)
		switch {
		case f.Severity == "info" || f.Name == "no_startup_hook":
		case f.Name == "slow_rollback": // on a busy computer it would be
		case named == nil:
			n.t.Errorf("a finding about no row: %s", text)
		default:
			id, _ := strconv.Atoi(named[1])
			r := rows[id-1]
			if r.group != group {
				n.t.Errorf("in release %d: %s", group, text)
			}
			r.found = append(r.found, f.Name)
			r.evidence = append(r.evidence, text)
		}
	}
	done := n.commit(s, staged)
	if done.State != Committed || done.Error != nil || len(done.Failures) > 0 {
		n.t.Fatalf("%s %v %v", done.State, done.Error, done.Failures)
	}
	_ = s.Finish(n.t.Context())
	n.awaitGone()
}

// tableTarball is the base release with the code of one of the table's.
func tableTarball(t *testing.T, base []byte, dir string) []byte {
	t.Helper()
	added := map[string][]byte{"lib/changes-1.0.0/priv/static/app.js": []byte("new " + dir)}
	for pattern, folder := range map[string]string{"/*.*": "lib/changes-1.0.0/ebin/", "/consolidated/*": "releases/1.0.0/consolidated/"} {
		files, _ := filepath.Glob(dir + pattern)
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			added[folder+filepath.Base(file)] = body
		}
	}
	return editTar(t, base, func(h *tar.Header, body []byte) []byte {
		if changed, ok := added[h.Name]; ok {
			delete(added, h.Name)
			return changed
		}
		return body
	}, added)
}
