package agenttest

import (
	"github.com/oklog/ulid/v2"

	"flydeploy/engine/agent"
)

// ran is what the package tells of what runs, see FlyDeployAgent.Package.ran/1; nil without it.
func (m *machine) ran() *agent.Ran {
	if m.hook != agent.HookCalled {
		return nil
	}
	code := m.vm.code.Fingerprint()
	r := &agent.Ran{Upgrade: m.vm.upgrade, Own: m.vm.hotRef == "" || code == ReleaseOf(m.Image).Fingerprint(), NewestMS: m.vm.newest, Code: code}
	if m.vm.trial == nil {
		r.NewestMS = max(r.NewestMS, sentMS(m.vm.upgrade))
	}
	return r
}

// sentMS is the time in a deploy's ID, in milliseconds since the Unix epoch; 0 if it is none.
func sentMS(id string) int64 {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return 0
	}
	return int64(parsed.Time())
}
