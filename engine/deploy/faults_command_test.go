package deploy_test

import (
	"net/http"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// The requests of a release_command.
var (
	secondMachine = moment{"starting the temporary machine of the release_command", "create", 2}
	runCommand    = moment{"starting the release_command", "exec run command", 1}
	followCommand = moment{"following the release_command", "exec follow command", 1}
)

// migrates prints how often it has run on its machine.
const migrates = `n=$(($(cat /tmp/runs 2>/dev/null || echo 0) + 1)); echo $n >/tmp/runs; echo "migrating, run $n"; sleep 3; echo migrated`

// releaseCommands are faults that meet a release_command: before anything is suspended, it is run once, or the deploy ends.
func releaseCommands() []*cell {
	command := func(fault, command string, outcome engine.Outcome, moments []moment, prepare func(w *faultWorld), says ...string) *cell {
		return &cell{fault: "release_command: " + fault, moments: moments, outcome: outcome, says: says, never: "run 2", prepare: func(w *faultWorld, s *engine.Settings) func() {
			s.ReleaseCommand, s.RunReleaseCommand = command, true
			if prepare != nil {
				prepare(w)
			}
			return nil
		}}
	}
	both := []moment{runCommand, followCommand}
	again := func(effect local.Effect) func(w *faultWorld) {
		return func(w *faultWorld) {
			w.clock.again = true
			for _, m := range both {
				w.clock.at(m, effect)
			}
		}
	}
	const succeeds = "the release_command has succeeded"
	restarted := command("it has succeeded, and the machine restarts", migrates, engine.OutcomeSucceeded, nil, nil, succeeds)
	prepare := restarted.prepare
	restarted.prepare = func(w *faultWorld, s *engine.Settings) func() {
		prepare(w, s)
		return func() { // it is run by no boot
			w.restartByItself(w.id)
			w.expectVersion(w.id, "2.0.0")
		}
	}
	return []*cell{
		restarted,
		command("it fails half-way", `echo "migrating, run 1"; exit 3`, engine.OutcomeFailed, nil, nil, "migrating, run 1", "exit code 3"),
		command("its machine is killed", migrates, engine.OutcomeFailed, []moment{followCommand}, func(w *faultWorld) {
			w.clock.at(followCommand, once(nil, func() { w.must(w.local.Crash(w.temporaryMachines()[0])) }))
		}),
		command("no region has room for its machine", migrates, engine.OutcomeFailed, []moment{secondMachine}, func(w *faultWorld) {
			w.clock.from(secondMachine, local.Refuse(http.StatusConflict, noRoom))
		}, "no region has room"),
		command("408 after the work was done", migrates, engine.OutcomeSucceeded, both, again(local.Forget(http.StatusRequestTimeout, lostWork)), "migrating, run 1", succeeds),
		command("connection cut before the work", migrates, engine.OutcomeSucceeded, both, again(local.Cut()), "migrating, run 1", succeeds),
		command("the machine to be upgraded restarts meanwhile", migrates, engine.OutcomeSucceeded, []moment{followCommand}, func(w *faultWorld) {
			w.clock.at(followCommand, once(func() { w.restartByItself(w.id) }, nil))
		}, succeeds),
	}
}
