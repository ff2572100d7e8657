package deploy

import (
	"flydeploy/engine"
)

// appliesConfig tells whether machines apply the configuration of what is deployed: if that was asked for, and if an earlier upgrade of
// theirs has. What that has applied would otherwise stay in their memory, and be gone after a restart.
func (j *job) appliesConfig(s *surveyed) bool {
	return j.settings.ApplyConfig || s.recorded.AppliesConfig(s.in)
}

// configStays gives the finding that configuration is applied though nobody has asked for it.
func (st *staged) configStays() (engine.Finding, bool) {
	if st.settings.ApplyConfig || !st.surveyed.recorded.AppliesConfig(st.surveyed.in) {
		return engine.Finding{}, false
	}
	return engine.Finding{
		Name: "config_applied", Severity: engine.SeverityInfo,
		What: "an earlier upgrade has applied its configuration, so that of this one is applied too, until the next cold deploy",
	}, true
}

// checkHasConfig fails where the configuration of an earlier deploy was asked for that was packed without it.
func (j *job) checkHasConfig(earlier engine.Upgrade) error {
	if !j.settings.ApplyConfig || earlier.ApplyConfig {
		return nil
	}
	return engine.NewProblem("no_config", "deploy "+earlier.ID+" was packed without its configuration", nil,
		"Deploy its image instead: `flydeploy hot --apply-config --skip-build --image "+earlier.SourceImage+"`. Or leave out --apply-config.")
}
