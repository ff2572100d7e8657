package agenttest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// machine is one of the fleet. The world's mutex guards it.
type machine struct {
	engine.Machine
	vm        *vm // nil: none runs
	boots     int // VMs so far
	behaviour *Behaviour
	hook      agent.HookState
	old       bool            // its hook reads no names in current.json
	dirs      map[string]bool // folders that are not an agent's
	// changed is closed, and made anew, whenever what a waiting exec looks at has changed.
	changed chan struct{}
	dies    time.Time       // a temporary one
	jobs    map[string]*job // likewise
	command *command        // likewise, nil until one is run
	agent   []byte          // compiled there, likewise
	nonce   string          // of the lease
}

// vm is one boot of the release.
type vm struct {
	pid, start string
	found      time.Time            // from when on it is among the processes
	answers    time.Time            // from when on it answers rpc
	code       Release              // that is loaded
	hotRef     string               // of an upgrade that was committed or reapplied
	upgrade    string               // the ID of its deploy
	newest     int64                // when the newest was signed that has run, see FlyDeploy.Newest
	children   engine.ApplyChildren // how its code's children were applied
	undone     *agent.Error         // what an agent, or the hook, could not do, nil for nothing: child_not_started or config_not_taken
	config     string               // sha256 of the tarball whose configuration is applied, "" for the image's
	call       agent.HookCall
	drifted    []string
	agent      *process
	fence      string // of the newest deploy whose agent it has met
	trial      *trial // nil: it is on none
}

func (v *vm) boot() string { return v.pid + "-" + v.start }

func (m *machine) news() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// State is what runs on a machine.
type State struct {
	engine.Machine
	Boot     string               // "" where no VM runs
	Code     Release              // that the VM has loaded
	Children engine.ApplyChildren // how its code's children were applied
	// Undone says why some of them did not start, or the configuration was not taken; "" if all is done.
	Undone  string
	Config  string // sha256 of the tarball whose configuration it has applied, "" for the image's
	Agent   string // id of the order of the agent in the VM, "" for none
	Status  agent.Status
	Ordered []string // commands that the agent has got
}

// State gives the state of a machine; the zero value where it is none.
func (w *World) State(id string) State {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.byID[id]
	if m == nil {
		return State{}
	}
	s := State{Machine: m.Machine}
	if m.vm != nil {
		s.Boot, s.Code, s.Config, s.Children = m.vm.boot(), m.vm.code, m.vm.config, m.vm.children
		if e := m.vm.undone; e != nil {
			s.Undone = e.What
		}
		if a := m.vm.living(); a != nil {
			s.Agent, s.Status, s.Ordered = a.order.id, a.status, slices.Clone(a.ordered)
		}
	}
	return s
}

// Add adds a machine, and boots its VM if it is started. What is not set is as NewWorld has it.
func (w *World) Add(m engine.Machine) {
	w.locked(func() { w.add(m) })
}

func (w *World) add(m engine.Machine) *machine {
	m.Region, m.State, m.Image = cmp.Or(m.Region, "ams"), cmp.Or(m.State, engine.StateStarted), cmp.Or(m.Image, Image1)
	m.InstanceID, m.HostStatus = cmp.Or(m.InstanceID, "i1-"+m.ID), cmp.Or(m.HostStatus, "ok")
	m.Name = cmp.Or(m.Name, "machine-"+m.ID)
	added := &machine{Machine: m, hook: agent.HookCalled, dirs: map[string]bool{}, changed: make(chan struct{})}
	w.machines, w.byID[m.ID] = append(w.machines, added), added
	if m.State == engine.StateStarted && m.Temporary == "" {
		w.boot(added, Boot{})
	}
	return added
}

// Boot says how long a boot takes.
type Boot struct {
	// Found is when the VM is among the machine's processes, Answers when it answers rpc; after that it has booted.
	Found, Answers time.Duration
}

// boot starts a VM as the machine's image and current.json say.
func (w *World) boot(m *machine, b Boot) {
	w.end(m)
	w.booted++
	m.boots++
	now := time.Now()
	v := &vm{
		pid: fmt.Sprint(300 + w.booted), start: fmt.Sprint(500_000 + 100*w.booted), found: now.Add(b.Found),
		answers: now.Add(max(b.Found, b.Answers)), code: ReleaseOf(m.Image),
		call: agent.HookCall{App: App, Outcome: agent.HookNone, Text: "there is no upgrade"},
	}
	if m.hook == agent.HookCalled {
		w.reapply(m, v)
	}
	m.vm, m.dirs = v, map[string]bool{}
	m.news()
}

// end ends the VM, and its agent with it.
func (w *World) end(m *machine) {
	if m.vm == nil {
		return
	}
	if a := m.vm.agent; a != nil {
		a.stop()
	}
	m.vm = nil
	m.news()
}

// reapply does at a boot what FlyDeploy.startup_reapply_current/1 does.
func (w *World) reapply(m *machine, v *vm) {
	md, _, err := w.bucket.metadata(App)
	if err != nil || md.ImageRef != m.Image {
		return
	}
	if code := md.ImageCode; code != nil && code.ImageRef == md.ImageRef && code.Fingerprint != ReleaseOf(m.Image).Fingerprint() {
		return
	}
	upgrade := md.HotUpgrade
	if own, ok := md.MachineUpgrades[m.ID]; ok {
		upgrade = &own
	}
	if m.old && m.isByName(w) {
		v.call.Outcome, v.call.Text = "failed", "current.json records an upgrade without version, tarball_url, sha256 or size"
		return
	}
	if upgrade == nil {
		return
	}
	if o := w.bucket.objects[keyOf(upgrade.TarballURL)]; o == nil || o.sha256 != upgrade.SHA256 {
		v.call.Outcome, v.call.Text = "failed", "the tarball of "+upgrade.Version+" is not what current.json says"
		return
	}
	v.code = Release{Image: m.Image, Version: upgrade.Version, SHA256: upgrade.SHA256, Size: upgrade.Size}
	v.hotRef, v.upgrade = upgrade.SourceImageRef, upgrade.ID
	if s := upgrade.Signature; s != nil {
		v.newest = s.SignedAtMS
	}
	if upgrade.ApplyConfig {
		v.config = w.configIn(upgrade.SHA256)
	}
	v.children = upgrade.ApplyChildren
	w.leavesUndone(m, v, upgrade.ApplyConfig)
	v.call.Outcome, v.call.Text = agent.HookReapplied, "hot upgrade "+upgrade.Version
}

// leavesUndone has a VM fail to start children, or to take its configuration, if its machine's agents do so, and these are applied.
func (w *World) leavesUndone(m *machine, v *vm, config bool) {
	v.undone = nil
	if e := w.behaviourOf(m).Error; e != nil && triesAgain(e, config, v.children) {
		v.undone = e
	}
}

// triesAgain reports whether what could not be done is tried where configuration and children are applied so.
func triesAgain(e *agent.Error, config bool, children engine.ApplyChildren) bool {
	switch e.Name {
	case "child_not_started":
		return children != engine.ApplyNoChildren
	case "config_not_taken":
		return config
	}
	return false
}

// change does something with a machine that exists.
func (w *World) change(id string, do func(*machine)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.byID[id]
	if m == nil {
		panic("agenttest: no machine " + id)
	}
	do(m)
	m.UpdatedAt = time.Now()
}

// Stop stops a machine: its VM ends, and execs are refused.
func (w *World) Stop(id string) {
	w.change(id, func(m *machine) { w.end(m); m.State = engine.StateStopped })
}

// Suspend suspends a machine: its VM stays, and answers nothing.
func (w *World) Suspend(id string) {
	w.change(id, func(m *machine) { m.State = engine.StateSuspended; m.news() })
}

// Resume resumes a suspended machine: everything in it is as it was.
func (w *World) Resume(id string) {
	w.change(id, func(m *machine) { m.State = engine.StateStarted; m.news() })
}

// Start starts a stopped machine.
func (w *World) Start(id string) { w.Restart(id, Boot{}) }

// Restart restarts a machine, or starts it: another boot, whose disk is the image's.
func (w *World) Restart(id string, b Boot) {
	w.change(id, func(m *machine) { m.State = engine.StateStarted; w.boot(m, b) })
}

// Replace updates a machine to another image, HOST/APP:TAG or HOST/APP:TAG@DIGEST: a new instance, and another boot.
func (w *World) Replace(id, image string) {
	w.change(id, func(m *machine) {
		m.State = engine.StateStarted
		m.Image, m.Digest, _ = strings.Cut(image, "@")
		m.InstanceID = fmt.Sprintf("i%d-%s", m.boots+1, m.ID)
		w.boot(m, Boot{})
	})
}

// EndVM ends the VM of a machine that stays started, as one whose release does not boot.
func (w *World) EndVM(id string) { w.change(id, w.end) }

// Remove destroys a machine.
func (w *World) Remove(id string) {
	w.locked(func() { w.remove(id) })
}

func (w *World) remove(id string) {
	m := w.byID[id]
	if m == nil {
		return
	}
	w.end(m)
	m.State = "destroyed"
	m.news()
	delete(w.byID, id)
	w.machines = slices.DeleteFunc(w.machines, func(other *machine) bool { return other == m })
}

// Change changes what the Machines API tells of a machine, and nothing else: checks, host status, …. change must not call
// the world.
func (w *World) Change(id string, change func(*engine.Machine)) {
	w.change(id, func(m *machine) { change(&m.Machine) })
}

// SetHook says what the machine's release has of the startup hook; it counts from the next boot on.
func (w *World) SetHook(id string, state agent.HookState) {
	w.change(id, func(m *machine) { m.hook = state })
}

// SetOldHook gives the machine's release a startup hook that reads no upgrade by its name in current.json.
func (w *World) SetOldHook(id string) { w.change(id, func(m *machine) { m.old = true }) }

// isByName reports whether current.json has no more than a name for the machine.
func (m *machine) isByName(w *World) bool {
	var document struct {
		Entries map[string]json.RawMessage `json:"machine_upgrades"`
	}
	o, err := w.bucket.read(currentKey(App))
	return err == nil && json.Unmarshal(o.body, &document) == nil && len(document.Entries[m.ID]) > 0 && document.Entries[m.ID][0] != '{'
}

// MakeDir makes a folder on the machine's disk, e.g. one that an agent wants to make.
func (w *World) MakeDir(id, path string) { w.change(id, func(m *machine) { m.dirs[path] = true }) }

// Load loads other code into a running VM, past every agent: what was staged is stale.
func (w *World) Load(id string, code Release) {
	w.change(id, func(m *machine) {
		if m.vm != nil {
			m.vm.code = code
		}
	})
}

// Drift makes modules of a running VM differ from the files on its disk.
func (w *World) Drift(id string, modules ...string) {
	w.change(id, func(m *machine) {
		if m.vm != nil {
			m.vm.drifted = modules
		}
	})
}

// Crash makes that many of the processes that an agent in the machine upgrades, or has upgraded, crash with KeyError :step.
func (w *World) Crash(id string, processes int) {
	w.CrashAs(id, agent.Crash{
		Module: "Counter.Tally", Exception: "KeyError :step", At: "tally.ex:41", Stack: []string{"lib/counter/tally.ex:41: Counter.Tally.handle_call/3"}, Count: processes, Watched: processes,
	})
}

// CrashAs does the same with a crash of any kind; its Before counts nothing.
func (w *World) CrashAs(id string, c agent.Crash) {
	w.change(id, func(m *machine) {
		if m.vm != nil && m.vm.living() != nil {
			m.vm.agent.crash(c)
		}
	})
}
