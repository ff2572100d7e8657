package tui

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// fleet is the home screen: the machines by region, and which of them are marked.
type fleet struct {
	view.Fleet
	asking   bool // the VMs, for their code
	seen     bool
	dim      bool // what is shown is older than it should be
	lookedAt time.Time
	came     engine.Overview // with the last look, in its own order; zero where what it means has changed since
	err      error           // of the last look; what was seen before stays on the screen

	rows       []fleetRow
	wanted     Columns        // by the operator
	columns    []cells.Column // that are shown
	shown      []int          // their places among a machine's cells
	name       int            // cells of the longest name
	notes      int            // likewise, of what the last column says
	list       cells.List
	filter     filter
	sorting    sorting
	about      bool // the details of the machine under the cursor fill the screen
	page       cells.Page
	marked     map[string]bool
	vitals     map[string]view.LastVitals // by machine
	now        time.Time                  // of the screen
	withVitals bool                       // some machine's vitals are known, so that they have columns
	anchor     string                     // the machine marked last, where a range starts
	preselect  engine.Selection
}

// fleetRow is a machine, or with region set the heading of a region.
type fleetRow struct {
	m      engine.Machine
	region string
	count  int
}

func newFleet(preselect engine.Selection) *fleet {
	return &fleet{marked: map[string]bool{}, preselect: preselect}
}

// look takes in what a poll brought, and reports whether the screen changes by that. Most looks bring nothing new, and cost little.
func (f *fleet) look(m overviewMsg, now time.Time) (changed bool) {
	wrong := f.isStale(now)
	if f.err = m.err; m.err != nil {
		return true
	}
	first := !f.seen
	f.seen, f.lookedAt = true, now
	f.came.At = m.overview.At
	if reflect.DeepEqual(f.came, m.overview) {
		f.Overview.At = m.overview.At
		return wrong
	}
	f.came = m.overview
	f.came.Machines = slices.Clone(m.overview.Machines)
	me := f.Me
	f.Fleet = view.NewFleet(m.overview, f.Code)
	f.Me = me
	if first {
		f.markSelection(f.preselect)
	}
	f.forgetGone()
	f.sort()
	return true
}

// sort orders the machines, and builds the rows anew.
func (f *fleet) sort() {
	compare := orderingOf(fleetSorts, cmp.Or(f.sorting.key, byRegion)).compare
	slices.SortStableFunc(f.Overview.Machines, func(a, b engine.Machine) int {
		if f.sorting.down {
			return compare(b, a)
		}
		return compare(a, b)
	})
	f.measure()
	f.build()
}

// forgetGone drops the marks of machines that no longer exist or no longer take part.
func (f *fleet) forgetGone() {
	there := map[string]bool{}
	for _, m := range f.Overview.Machines {
		there[m.ID] = view.TakesPart(m)
	}
	for id := range f.marked {
		if !there[id] {
			delete(f.marked, id)
		}
	}
}

// build makes the rows that the filter lets through, and keeps the cursor on its machine.
func (f *fleet) build() {
	under := ""
	if m, ok := f.current(); ok {
		under = m.ID
	}
	f.rows = f.rows[:0]
	heading := -1
	for _, m := range f.Overview.Machines {
		if !f.matches(m) {
			continue
		}
		if f.sorting.key == "" {
			if heading < 0 || f.rows[heading].region != m.Region {
				heading = len(f.rows)
				f.rows = append(f.rows, fleetRow{region: m.Region})
			}
			f.rows[heading].count++
		}
		f.rows = append(f.rows, fleetRow{m: m})
	}
	at := slices.IndexFunc(f.rows, func(r fleetRow) bool { return r.m.ID != "" && r.m.ID == under })
	if at >= 0 {
		f.list.At = at
	}
	f.list.At = f.machineAt(f.list.At, 1)
}

// machineAt gives the row of the machine nearest to a row: in one direction first, then in the other.
func (f *fleet) machineAt(at, direction int) int {
	at = min(max(at, 0), max(len(f.rows)-1, 0))
	for _, step := range []int{direction, -direction} {
		for i := at; i >= 0 && i < len(f.rows); i += step {
			if f.rows[i].m.ID != "" {
				return i
			}
		}
	}
	return 0
}

func (f *fleet) current() (engine.Machine, bool) {
	if f.list.At >= len(f.rows) || f.rows[f.list.At].m.ID == "" {
		return engine.Machine{}, false
	}
	return f.rows[f.list.At].m, true
}

// matches applies the filter.
func (f *fleet) matches(m engine.Machine) bool {
	return f.Lets(f.filter.words, m)
}

func (f *fleet) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if f.filter.typed != nil {
		f.filter.press(k)
		f.build()
		return nil
	}
	if by, ok := c.step(k); ok {
		f.move(by)
		return nil
	}
	if cmd, ok := c.pressTrial(k, f.hasTrial(c) && !f.about); ok {
		return cmd
	}
	switch {
	case key.Matches(k, c.keys.details, c.keys.in):
		_, there := f.current()
		f.about, f.page = !f.about && there, cells.Page{}
	case f.about && key.Matches(k, c.keys.back, c.keys.out, c.keys.quit):
		f.about = false
	case key.Matches(k, c.keys.copy):
		return c.copy(f.copied())
	case key.Matches(k, c.keys.logs):
		m, _ := f.current()
		return c.openOutput(m.ID, nil)
	case key.Matches(k, c.keys.shell, c.keys.iex):
		return f.visit(c, key.Matches(k, c.keys.iex))
	case f.about:
	case orderingOf(fleetSorts, k.String()) != nil:
		f.sorting.press(k.String(), byRegion)
		f.sort()
	case key.Matches(k, c.keys.history):
		return c.openHistory()
	case key.Matches(k, c.keys.inspect):
		return c.inspect()
	case key.Matches(k, c.keys.watch):
		c.dialog = f.lockDialog(c)
	case key.Matches(k, c.keys.problem):
		f.problemDialog(c)
	case key.Matches(k, c.keys.look):
		return c.lookNow()
	case key.Matches(k, c.keys.mark):
		f.toggle(c)
	case key.Matches(k, c.keys.markRange):
		f.toggleRange()
	case key.Matches(k, c.keys.markAll):
		f.toggleAll()
	case key.Matches(k, c.keys.filter):
		f.filter.open()
	case key.Matches(k, c.keys.deploy):
		return f.deployMarked(c)
	case key.Matches(k, c.keys.back):
		f.back()
	case key.Matches(k, c.keys.quit):
		return tea.Quit
	}
	return nil
}

func (f *fleet) move(by int) {
	if f.about {
		f.page.Scroll += by
		return
	}
	direction := 1
	if by < 0 {
		direction = -1
	}
	f.list.Move(by, len(f.rows))
	f.list.At = f.machineAt(f.list.At, direction)
}

// back undoes one thing: the filter first, then the marks.
func (f *fleet) back() {
	if f.filter.words != "" {
		f.filter.clear()
		f.build()
		return
	}
	f.unmark()
}

// ages reports whether the screen shows times that keep changing.
func (f *fleet) ages(now time.Time) bool { return f.Overview.Lock != nil || f.isStale(now) }
