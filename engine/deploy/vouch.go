package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// own_code of current.json says for every machine that no upgrade is named for that it runs its image's own code. Somebody else may have
// removed an upgrade from there, so that a deploy signs it anew only if it knows that of each of them.

// vouchWithin bounds how long machines are asked that take no part in a deploy.
const vouchWithin = 10 * time.Second

// vouched is of which machines it is known that no upgrade need be named for them.
type vouched struct {
	mu    sync.Mutex
	own   map[string]bool // they run the image's own code, or no release
	asked bool            // those that take no part in the deploy
}

// knowOwnCode takes over what the machines of a deploy told when they were staged.
func (l *ledger) knowOwnCode(st *staged) {
	for _, r := range st.machines {
		if ran := r.status.Ran; ran != nil && ran.Own {
			l.vouched.know(r.machine.ID)
		}
	}
	for _, m := range st.leftOut {
		if m.LeftOut == engine.LeftOutNoVM {
			l.vouched.know(m.ID)
		}
	}
}

func (v *vouched) know(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.own == nil {
		v.own = map[string]bool{}
	}
	v.own[id] = true
}

func (v *vouched) knows(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.own[id]
}

// signOwnCode signs it in md, as far as this deploy can vouch for it. Otherwise what was signed before stays, or it is signed for machines that
// have never run anything else: one that has takes it for older than that.
func (l *ledger) signOwnCode(ctx context.Context, md *engine.Metadata) {
	keys, app := l.ports.Keys, appOf(l.upgrade)
	if keys.SignsWith() == "" || md.HotUpgrade != nil {
		keys.OwnCode(app, md, time.Time{}) // it needs none
		return
	}
	if l.restoresOwnCode() { // of which one was newer than what was signed before
		l.askOthers(ctx, l.unknownOf(*md))
	}
	switch {
	case len(l.unknownOf(*md)) == 0:
		keys.OwnCode(app, md, l.surveyed.target.Storage.Clock())
	case md.OwnCode == nil || keys.CheckOwnCode(app, *md) != nil:
		keys.OwnCode(app, md, time.UnixMilli(0))
	}
}

// restoresOwnCode reports whether machines were taken back to their image's own code.
func (l *ledger) restoresOwnCode() bool {
	return l.back != nil && slices.ContainsFunc(l.all(), func(e *entry) bool { return l.surveyed.before(e.machine) == nil })
}

// unknownOf gives the machines for which md names no upgrade, and of which it is not known that they need none.
func (l *ledger) unknownOf(md engine.Metadata) []engine.Machine {
	var unknown []engine.Machine
	for _, m := range l.surveyed.target.Machines {
		if _, named := md.UpgradeOf(m); named || m.Temporary != "" || m.LeftOut != "" || l.back != nil && l.hasEntry(m.ID) || l.vouched.knows(m.ID) {
			continue
		}
		unknown = append(unknown, m)
	}
	return unknown
}

// askOthers asks machines that take no part in the deploy what they run, once.
func (l *ledger) askOthers(ctx context.Context, machines []engine.Machine) {
	if l.vouched.asked {
		return
	}
	l.vouched.asked = true // guarded by the token
	ctx, cancel := context.WithTimeout(ctx, vouchWithin)
	defer cancel()
	_ = run.Each(ctx, machines, askedAtOnce, engine.Machine.Where, func(ctx context.Context, m engine.Machine) error {
		if m.State != engine.StateStarted {
			return nil
		}
		exec := target.ExecOn(l.ports.Fleet, m.ID)
		vm, err := agent.Discover(ctx, exec, l.settings.Release)
		if errors.Is(err, agent.ErrNoVM) {
			l.vouched.know(m.ID)
			return nil
		}
		if err != nil {
			return err
		}
		code, err := agent.Loaded(ctx, exec, vm)
		if err == nil && code.IsImages() {
			l.vouched.know(m.ID)
		}
		return err
	})
}
