package view

import (
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// Fleet is a look at the fleet, as it is shown.
type Fleet struct {
	Overview engine.Overview
	Image    string               // that the fleet should run
	Code     map[string]Inspected // what VMs said of their code, by machine
	Me       string               // who looks, as locks name it; "" where that is not known
}

// NewFleet takes a look; code is what VMs said earlier. The fleet should run the image that the record names, if any machine
// runs it, else the one that most machines run.
func NewFleet(o engine.Overview, code map[string]Inspected) Fleet {
	f := Fleet{Overview: o, Code: code}
	if o.Metadata != nil && o.Metadata.ImageRef != "" && !o.RecordIsStale() {
		f.Image = o.Metadata.FullImage()
	} else {
		f.Image = engine.BaseImage(slices.DeleteFunc(slices.Clone(o.Machines), func(m engine.Machine) bool { return !TakesPart(m) }))
	}
	return f
}

// States counts the machines and their states.
func (f *Fleet) States() cells.Line {
	states := map[engine.FlyState]int{}
	for _, m := range f.Overview.Machines {
		states[m.State]++
	}
	l := cells.Line{cells.New(cells.Strong, text.Counted(len(f.Overview.Machines), "machine"))}
	for _, state := range []engine.FlyState{engine.StateStarted, engine.StateStopped, engine.StateSuspended, engine.StateFailed} {
		if n := states[state]; n > 0 && n < len(f.Overview.Machines) {
			l = append(l, cells.New(cells.Muted, " · "+text.Count(n)+" "+string(state)))
		}
	}
	return l
}

// unread: the bucket's record could not be read, so that nobody knows which machines run an upgrade. No record is another
// matter: then there was none yet.
func (f *Fleet) unread() bool { return f.Overview.Metadata == nil && f.Overview.Storage != nil }

// Upgrade is the fleet's current upgrade, and when it came, for the title.
func (f *Fleet) Upgrade(now time.Time) cells.Line {
	md := f.Overview.Metadata
	switch {
	case f.Overview.Trial != nil && !f.Overview.Trial.Over(now):
		return trialLine(f.Overview.Trial)
	case f.unread():
		return cells.Line{{Text: "upgrade unknown", Tone: cells.Warn}}
	case md == nil:
		return cells.Line{{Text: "no hot upgrade yet", Tone: cells.Muted}}
	case f.Overview.RecordIsStale():
		return cells.Line{{Text: "record stale: deployed cold since", Tone: cells.Muted}}
	case md.HotUpgrade != nil:
		l := cells.Line{cells.New(cells.OK, "hot "+md.HotUpgrade.Version)}
		if at := md.HotUpgrade.DeployedAt; !at.IsZero() {
			l = append(l, cells.New(cells.Muted, ", deployed "+Ago(now.Sub(at))))
		}
		return l
	case len(md.MachineUpgrades) > 0:
		return cells.Line{cells.New(cells.Warn, "hot on "+text.Counted(len(md.MachineUpgrades), "machine"))}
	}
	return cells.Line{{Text: "runs its image", Tone: cells.Muted}}
}

// Lock tells who deploys, or why that is not known.
func (f *Fleet) Lock(now time.Time) cells.Line {
	lock := f.Overview.Lock
	switch {
	case f.Overview.Storage != nil:
		return cells.Line{cells.New(cells.Warn, "! storage: "+f.Overview.Storage.What)}
	case lock == nil:
		return cells.Line{{Text: "no deploy under way", Tone: cells.Muted}}
	case lock.ExpiresAt.Before(now):
		return cells.Line{cells.New(cells.Muted, "lock of "+lock.LockedBy+" expired")}
	case lock.Frozen():
		return cells.Line{cells.New(cells.Warn, "! frozen by "+lock.LockedBy+" until "+Until(lock.ExpiresAt, now)+": "+lock.Freeze)}
	}
	by := "! locked by " + lock.LockedBy
	if lock.LockedBy == f.Me {
		by += ", which is you,"
	}
	if silent := silence(*lock, now); silent > aliveWithin+lookedWithin {
		return cells.Line{cells.New(cells.Warn, by+" with no sign of life for "+text.Seconds(silent)+", expires in "+text.Seconds(lock.ExpiresAt.Sub(now)))}
	}
	return cells.Line{cells.New(cells.Warn, by+" since "+When(lock.LockedAt, now))}
}

// lookedWithin is how old a look at the lock may be.
const lookedWithin = 10 * time.Second

// Selected gives the ids of the machines that a selection names, nil where it names none.
func (f *Fleet) Selected(s engine.Selection) []string {
	if s.Empty() {
		return nil
	}
	return f.Taking(s)
}

// Taking gives the ids of the machines that take part in a deploy of a selection, in display order.
func (f *Fleet) Taking(s engine.Selection) []string {
	var ids []string
	for _, m := range f.Overview.Machines {
		if TakesPart(m) && s.Selects(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// Runs tells what code a machine runs: its image's own, or a hot upgrade; unknown where the record could not be read.
func (f *Fleet) Runs(m engine.Machine) cells.Span {
	if !TakesPart(m) {
		return cells.New(cells.Muted, "–")
	}
	u, hot := f.Overview.HotUpgradeOf(m)
	switch {
	case f.onTrial(m):
		return cells.New(cells.Warn, f.Overview.Trial.Version+" on trial")
	case f.unread():
		return cells.Span{Text: "? unknown", Tone: cells.Warn}
	case hot && m.State == engine.StateSuspended:
		return cells.New(cells.Muted, u.Version+" on wake")
	case hot && m.State != engine.StateStarted:
		return cells.New(cells.Muted, u.Version+" at boot")
	case hot:
		return cells.New(cells.OK, u.Version+" hot")
	default:
		return cells.New(cells.Muted, "image")
	}
}

// Note is what one should know about a machine: why it never takes part, that its host is in trouble, that somebody holds its
// lease, that it is cordoned, its drift.
func (f *Fleet) Note(m engine.Machine) cells.Span {
	if caution := m.Caution(); TakesPart(m) && caution != "" {
		tone := cells.Warn
		if Host(m).Tone != cells.Muted {
			tone = Host(m).Tone
		}
		return cells.New(tone, "! "+caution)
	}
	return f.Drift(m)
}

// Drift tells how a machine differs from what the fleet should run, or why it never takes part.
func (f *Fleet) Drift(m engine.Machine) cells.Span {
	switch {
	case !TakesPart(m):
		return cells.New(cells.Muted, WhyLeftOut(m))
	case f.Image != "" && !engine.SameImage(f.Image, m.FullImage()):
		return cells.New(cells.Warn, "! another image")
	}
	if s, asked := f.codeDrift(m); asked {
		return s
	}
	return cells.Span{Text: "–", Tone: cells.Muted}
}

// Inspected is what a machine's VM has said of its code. Another instance of the machine has not been asked.
type Inspected struct {
	Instance string
	At       time.Time
	engine.MachineCode
}

// CodeOf is what the VM of this instance of a machine said.
func (f *Fleet) CodeOf(m engine.Machine) (Inspected, bool) {
	code, asked := f.Code[m.ID]
	return code, asked && code.Instance == m.InstanceID
}

// codeDrift is how a VM's code differs from the record and from its disk; false where it was not asked.
func (f *Fleet) codeDrift(m engine.Machine) (cells.Span, bool) {
	code, asked := f.CodeOf(m)
	switch {
	case !asked:
		return cells.Span{}, false
	case code.Problem != nil:
		return cells.Span{Text: "? no answer", Tone: cells.Warn}, true
	case code.Stale && code.CatchUp != nil && code.CatchUp.Outcome == engine.CatchUpWaiting:
		return cells.Span{Text: "! catching up", Tone: cells.Warn}, true
	case code.Hook == engine.HookGaveUp:
		return cells.Span{Text: "! boots its image", Tone: cells.Warn}, true
	case code.Stale:
		return cells.Span{Text: "! stale code", Tone: cells.Warn}, true
	case code.Drift > 0:
		return cells.New(cells.Warn, "! "+text.Counted(code.Drift, "module")+" unlike disk"), true
	case len(code.Undone) > 0:
		return cells.New(cells.Warn, "! "+undoneWord(code.Undone[0])), true
	case !code.Hook.Works():
		return cells.Span{Text: "! no hook", Tone: cells.Warn}, true
	}
	return cells.Span{Text: "✓ none", Tone: cells.OK}, true
}

// undoneWord says in a few words what an upgrade has left undone.
func undoneWord(p *engine.Problem) string {
	if p.Name == "config_not_taken" {
		return "settings not taken"
	}
	return "child not started"
}
