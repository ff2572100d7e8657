package view

import (
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// Production says what the machines of a deploy that has ended run now: "2 of 6 machines run it, 4 run 1.0.0 as before", or "0 of 4
// machines took it, all run 1.0.0 as before, nothing was lost". What is not known is not said.
func Production(machines []engine.MachineResult) string {
	has := func(is func(engine.MachineOutcome) bool) []engine.MachineResult {
		return slices.DeleteFunc(slices.Clone(machines), func(m engine.MachineResult) bool { return !is(m.Outcome) })
	}
	upgraded := has(engine.MachineOutcome.Upgraded)
	before := has(engine.MachineOutcome.AsBefore)
	back := has(func(o engine.MachineOutcome) bool { return o == engine.OutcomeTakenBack })
	open := has(func(o engine.MachineOutcome) bool { return EndOf(engine.Result{}, o).Rank == RankUnknown })
	of := text.Count(len(upgraded)) + " of " + text.Counted(len(machines), "machine")
	took := "took it"
	since := changed(machines) // these may have taken it before
	if len(upgraded)+len(back)+len(open)+len(since) > 0 {
		took = runVerb(len(machines)) + " it"
	}
	parts := []string{of + " " + took}
	for _, g := range []struct {
		machines []engine.MachineResult
		how      string
	}{{before, "as before"}, {back, "again"}} {
		if versions := versionsOf(g.machines, len(g.machines) == len(machines), g.how); versions != "" {
			parts = append(parts, versions)
		}
	}
	if len(open) > 0 {
		parts = append(parts, text.Count(len(open))+" unknown")
	}
	parts = append(parts, since...)
	return strings.Join(append(parts, lost(machines)...), ", ")
}

// changed counts those that have become something else, by their words: "1 restarted", "2 destroyed".
func changed(machines []engine.MachineResult) []string {
	var parts []string
	for _, o := range []engine.MachineOutcome{engine.OutcomeRestarted, engine.OutcomeReplaced, engine.OutcomeStopped, engine.OutcomeGone, engine.OutcomeDown} {
		n := 0
		for _, m := range machines {
			if m.Outcome == o {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, text.Count(n)+" "+EndOf(engine.Result{}, o).Word)
		}
	}
	return parts
}

func runVerb(n int) string {
	if n == 1 {
		return "runs"
	}
	return "run"
}

// versionsOf counts machines by the version that they run: "all run 1.0.0 as before", "3 run 1.0.0 and 1 runs 1.1.0 as before"; "" for none,
// and where a version is not known.
func versionsOf(machines []engine.MachineResult, all bool, how string) string {
	counts := map[string]int{}
	for _, m := range machines {
		counts[text.Line(m.Runs)]++
	}
	if len(machines) == 0 || counts[""] > 0 {
		return ""
	}
	var versions []string
	for version := range counts {
		versions = append(versions, version)
	}
	slices.Sort(versions)
	if all && len(versions) == 1 && len(machines) > 1 {
		return "all run " + versions[0] + " " + how
	}
	for i, version := range versions {
		n := counts[version]
		versions[i] = text.Count(n) + " " + runVerb(n) + " " + version
		if all && len(machines) == 1 {
			versions[i] = "it runs " + version
		}
	}
	return strings.Join(versions, " and ") + " " + how
}

// lost says whether windows that were rolled back have cost anything.
func lost(machines []engine.MachineResult) []string {
	rolledBack, losses := 0, 0
	for _, m := range machines {
		switch m.Outcome {
		case engine.OutcomeRolledBack:
			rolledBack++
		case engine.OutcomeRolledBackWithLosses:
			losses++
		}
	}
	switch {
	case losses > 0:
		return []string{"processes were lost on " + text.Count(losses)}
	case rolledBack > 0:
		return []string{"nothing was lost"}
	}
	return nil
}
