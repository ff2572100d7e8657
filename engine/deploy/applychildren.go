package deploy

import (
	"flydeploy/engine"
)

// appliesChildren tells whether machines start and end children of supervisors: if that was asked for, and if an earlier upgrade of theirs
// has. A restart would otherwise lead back to the image's.
func (j *job) appliesChildren(s *surveyed) engine.ApplyChildren {
	if how := j.settings.ApplyChildren; how != engine.ApplyNoChildren || !s.recorded.AppliesChildren(s.in) {
		return how
	}
	return engine.ApplyChildrenKeep
}

// childrenStay gives the finding that children are applied though nobody has asked for it.
func (st *staged) childrenStay() (engine.Finding, bool) {
	if st.settings.ApplyChildren != engine.ApplyNoChildren || !st.surveyed.recorded.AppliesChildren(st.surveyed.in) {
		return engine.Finding{}, false
	}
	return engine.Finding{
		Name: "children_applied", Severity: engine.SeverityInfo,
		What: "an earlier upgrade has started and ended children, so this one does too, until the next cold deploy",
	}, true
}
