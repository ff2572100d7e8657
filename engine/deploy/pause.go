package deploy

import (
	"time"

	"flydeploy/engine"
)

// MaxPause is the longest pause that ends by itself.
const MaxPause = 45 * time.Minute

// ValidPause reports whether a strategy may have such a pause.
func ValidPause(p time.Duration) bool { return p == engine.PauseForKey || p >= 0 && p <= MaxPause }

// bakeOf is for how long a wave is watched: also while the strategy pauses before the next one.
func (c *committing) bakeOf(w wave) time.Duration {
	s := c.settings.Strategy
	if w.number < w.of {
		return s.Bake + max(s.Pause, 0)
	}
	return s.Bake
}

// waitsForKey reports whether the next wave waits until somebody goes on.
func (c *committing) waitsForKey(w wave) bool {
	return c.settings.Ask && c.settings.Strategy.Pause == engine.PauseForKey && w.number < w.of
}

// end ends the watch after the bake time, or else goes on with it until somebody says so.
func (w *watch) end(endBake func()) {
	if !w.waitsForKey(w.wave) {
		endBake()
		return
	}
	w.held.Store(true)
	now := time.Now()
	w.paused.Store(&now)
}

// checkPause refuses pauses that wait for a key where nobody can press one.
func (j *job) checkPause(s engine.Strategy) error {
	if s.Pause != engine.PauseForKey || j.settings.Ask || j.settings.DryRun {
		return nil
	}
	return engine.NewProblem("pause_for_nobody", "the strategy waits for a key after each wave, and there is no terminal to press one in", nil,
		"Give the pauses a time: --pause=5m.")
}

// pauseProblem says that nobody has gone on, and why not; trial: since the pause had to end before the trial does.
func (w *watch) pauseProblem(what string, trial bool) error {
	remedy := "Nothing more was started. Finish it with `flydeploy hot --resume`, or take it back: `flydeploy hot --to` an earlier deploy."
	if trial {
		what += ", and the trial of the first machines ends soon"
	}
	if w.tries() {
		remedy = "Nothing more was started. `flydeploy confirm` records what is on trial, `flydeploy confirm --back` takes it back, and `flydeploy hot --resume` finishes the deploy."
	}
	return engine.NewProblem("pause_unanswered", what, nil, remedy)
}
