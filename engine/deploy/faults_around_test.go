package deploy_test

import (
	"net/http"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// What is around a machine: its disk, its network, its host, the clock, the registry, the token.

func (w *faultWorld) must(err error) {
	if err != nil {
		w.t.Error(err)
	}
}

// once does something before or after the first of the requests that it meets.
func once(before, after func()) local.Effect {
	var first sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, a := before, after
			met := false
			first.Do(func() { met = true })
			if !met {
				b, a = nil, nil
			}
			local.Around(b, a)(next).ServeHTTP(rw, r)
		})
	}
}

func (w *faultWorld) fill(id string) {
	out, err := w.newClient(w.local.Token()).Exec(w.t.Context(), id, []string{"/bin/sh", "-c", "dd if=/dev/zero of=/tmp/fill bs=64k 2>/dev/null; true"}, "", time.Minute)
	if err != nil || out.ExitCode != 0 {
		w.t.Errorf("fill the disk of machine %s: %+v, %v", id, out, err)
	}
}

func (w *faultWorld) makeRoom() {
	out, err := w.newClient(w.local.Token()).Exec(w.t.Context(), w.id, []string{"/bin/rm", "-f", "/tmp/fill"}, "", time.Minute)
	if err != nil || out.ExitCode != 0 {
		w.t.Errorf("make room on machine %s: %+v, %v", w.id, out, err)
	}
}

// momentOf gives a moment by its request.
func momentOf(request string, nth int) moment {
	for _, m := range append(apiMoments, s3Moments...) {
		if m.request == request && m.nth == nth {
			return m
		}
	}
	panic("no moment " + request)
}

// around is a cell with something that happens once, before a moment, and is undone after the deploy.
func around(fault string, m moment, outcome engine.Outcome, do func(w *faultWorld) (undo func()), says ...string) *cell {
	return &cell{
		fault: fault, moments: []moment{m}, outcome: outcome, says: says,
		prepare: func(w *faultWorld, s *engine.Settings) func() {
			s.Timeout = 15 * time.Second
			undo := func() {}
			w.clock.at(m, once(func() { undo = do(w) }, nil))
			return func() { undo() }
		},
	}
}

func surroundings() []*cell {
	full := func(w *faultWorld) func() {
		w.fill(w.id)
		return w.makeRoom
	}
	fullTemporary := func(w *faultWorld) func() {
		w.fill(w.temporaryMachines()[0])
		return func() {}
	}
	cut := func(w *faultWorld) func() {
		restore, err := w.local.CutNetwork(w.id)
		w.must(err)
		return restore
	}
	cutTemporary := func(w *faultWorld) func() {
		_, err := w.local.CutNetwork(w.temporaryMachines()[0])
		w.must(err)
		return func() {}
	}
	lost := func(w *faultWorld) func() {
		restore, err := w.local.LoseHost(w.id)
		w.must(err)
		return restore
	}
	inject, arm, commit := momentOf("exec inject", 1), momentOf("exec arm", 1), momentOf("exec commit", 1)
	shortly := around("disk full", inject, engine.OutcomeFailed, full, "no space left", "df -h")
	shortly.short = true
	return append([]*cell{
		shortly,
		around("disk full", arm, engine.OutcomeFailed, full, "no space left", "df -h"),
		around("disk full", commit, engine.OutcomeSucceeded, full),
		around("disk of the temporary machine full", momentOf("exec start tarball", 1), engine.OutcomeFailed, fullTemporary, "no space left on the temporary machine"),
		around("network gone", inject, engine.OutcomeFailed, cut, "the download from"),
		around("network gone", arm, engine.OutcomeSucceeded, cut),
		around("network gone", commit, engine.OutcomeSucceeded, cut),
		around("network of the temporary machine gone", momentOf("exec start agent", 1), engine.OutcomeFailed, cutTemporary, "downloading the agent's source"),
		around("network of the temporary machine gone", momentOf("exec start upload", 1), engine.OutcomeFailed, cutTemporary, "uploading the tarball"),
		around("host lost", momentOf("exec wait", 1), engine.OutcomeFailed, lost),
		around("host lost", arm, engine.OutcomeFailed, lost),
		around("host lost", commit, engine.OutcomeFailed, lost),
	}, elsewhere()...)
}

// elsewhere are faults that are there from the beginning.
func elsewhere() []*cell {
	storage := local.Target{Service: local.S3}
	return []*cell{
		{fault: "host lost from the beginning", outcome: engine.OutcomeFailed, says: []string{"host"}, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			restore, err := w.local.LoseHost(w.id)
			w.must(err)
			return restore
		}},
		{fault: "S3's clock 20 s off", outcome: engine.OutcomeSucceeded, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			return w.local.Faults().Inject(storage, 0, local.ClockOff(20*time.Second))
		}},
		{fault: "S3's clock an hour off", outcome: engine.OutcomeFailed, says: []string{"clock"}, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			return w.local.Faults().Inject(storage, 0, local.ClockOff(time.Hour))
		}},
		{
			fault: "lists that lag while the launch loses its answer", moments: []moment{momentOf("create", 1)}, outcome: engine.OutcomeSucceeded,
			prepare: func(w *faultWorld, _ *engine.Settings) func() {
				w.clock.at(momentOf("create", 1), local.Forget(http.StatusRequestTimeout, lostWork))
				return w.local.LagLists(3 * time.Second)
			},
		},
		{fault: "image not there yet", outcome: engine.OutcomeSucceeded, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			return w.local.Faults().Inject(local.Target{Service: local.Registry, Action: "manifests"}, 2, local.ImageNotThereYet())
		}},
		{fault: "token that may only look and exec", outcome: engine.OutcomeFailed, says: []string{"403", "fly tokens create deploy"}, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			w.fleet = w.newClient(w.local.ExecToken())
			return nil
		}},
		{fault: "token that is none", outcome: engine.OutcomeFailed, says: []string{"token validation error"}, prepare: func(w *faultWorld, _ *engine.Settings) func() {
			w.fleet = w.newClient("fo1_none")
			return func() { w.fleet = w.newClient(w.local.Token()) }
		}},
	}
}

// whileWatched are faults that meet a machine while it is watched after its commit: the fourth list is the watch's.
func whileWatched() []*cell {
	watched := func(fault string, outcome engine.Outcome, do func(w *faultWorld) (undo func()), says ...string) *cell {
		c := around(fault, momentOf("list", 4), outcome, do, says...)
		prepare := c.prepare
		c.prepare = func(w *faultWorld, s *engine.Settings) func() {
			off := prepare(w, s)
			s.Timeout, s.Strategy = 5*time.Minute, engine.Strategy{Kind: engine.StrategyAll, Bake: 20 * time.Second}
			return off
		}
		return c
	}
	none := func() {}
	return []*cell{
		watched("VM dies while it is watched", engine.OutcomeUnhealthy, func(w *faultWorld) func() {
			w.must(w.local.Crash(w.id))
			return none
		}, "is not well"),
		watched("VM restarts while it is watched", engine.OutcomeUnhealthy, func(w *faultWorld) func() {
			w.must(w.local.Restart(w.id))
			return none
		}, "is not well"),
		watched("exec gone for a minute while it is watched", engine.OutcomeSucceeded, func(w *faultWorld) func() {
			lift := w.local.Faults().Inject(local.Target{Service: local.API, Action: local.ActionExec}, 0, local.Cut())
			time.AfterFunc(time.Minute, lift)
			return lift
		}),
		watched("host lost while it is watched", engine.OutcomePartial, func(w *faultWorld) func() {
			restore, err := w.local.LoseHost(w.id)
			w.must(err)
			return restore
		}, "it is not known whether it is well", "1 machine runs 2.0.0"),
	}
}
