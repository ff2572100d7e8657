package plan

import (
	"fmt"
	"strings"

	"flydeploy/engine"
)

// releaseCommand gives the finding about fly.toml's release_command: it is run before the commit, or it differs from that of the
// last recorded upgrade and nobody runs it. What a cold deploy has run is not known.
func (f Facts) releaseCommand() (engine.Finding, bool) {
	command := f.Upgrade.ReleaseCommand
	if command == "" {
		return engine.Finding{}, false
	}
	if f.RunsReleaseCommand {
		return engine.Finding{
			Name: "release_command", Severity: engine.SeverityInfo,
			What: "runs in a temporary machine with the new image before anything is suspended: " + command,
		}, true
	}
	last := f.Recorded.HotUpgrade
	if last == nil || last.ReleaseCommand == "" || last.ReleaseCommand == command || !engine.SameImage(f.Recorded.FullImage(), f.Upgrade.BaseImage) {
		return engine.Finding{}, false
	}
	return engine.Finding{
		Name: "release_command_changed", Severity: engine.SeverityBlock,
		What:   fmt.Sprintf("release_command of fly.toml is `%s`, and was `%s` in deploy %s: a hot upgrade does not run it", command, last.ReleaseCommand, last.ID),
		Remedy: engine.Remedies["release_command_changed"],
	}, true
}

// migrated gives a machine's finding as it is where the release_command runs: new migrations are what it is for.
func (f Facts) migrated(found engine.Finding) engine.Finding {
	if found.Name == "migrations_added" && f.RunsReleaseCommand && f.Upgrade.ReleaseCommand != "" {
		what, _, _ := strings.Cut(found.What, ": a hot upgrade")
		found.Severity, found.What, found.Remedy = engine.SeverityInfo, what+": the release_command runs before the commit", ""
	}
	return found
}
