package fly

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
)

// Metadata keys of a temporary machine: the id of its deploy, and whether that held the lock.
const (
	metadataUpgrade   = "flydeploy_upgrade"
	metadataUnderLock = "flydeploy_under_lock"
)

// Machines implements engine.Fleet.
func (c *Client) Machines(ctx context.Context) ([]engine.Machine, error) {
	var machines []engine.Machine
	read := func(list []byte) (err error) {
		machines, err = c.listing.read(list, c.containers.learn)
		return err
	}
	err := c.list(ctx, "?include_leases=true", read)
	if isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusForbidden) {
		err = c.list(ctx, "", read) // which a token may see that may not see leases
	}
	if err != nil {
		return nil, err
	}
	return machines, nil
}

// list asks for the machines of the app. The query selects some of them, for example "?region=ams".
func (c *Client) list(ctx context.Context, query string, out any) error {
	return c.do(ctx, request{
		op: "list the machines of " + c.app, action: "list", method: http.MethodGet, path: query,
		timeout: 15 * time.Second, maxElapsed: 15 * time.Second, repeatable: true,
	}, out)
}

// launchedFor returns the temporary machines of one deploy.
func (c *Client) launchedFor(ctx context.Context, upgradeID string) ([]*flyapi.Machine, error) {
	var list, found []*flyapi.Machine
	err := c.list(ctx, "?metadata."+metadataUpgrade+"="+url.QueryEscape(upgradeID), &list)
	for _, m := range list {
		if m != nil && !isDestroyed(m.State) && m.GetMetadataByKey(metadataUpgrade) == upgradeID {
			found = append(found, m)
		}
	}
	return found, err
}

func (c *Client) get(ctx context.Context, id string) (*flyapi.Machine, error) {
	var m flyapi.Machine
	err := c.do(ctx, request{
		op: "get machine", action: actionGet, method: http.MethodGet, machine: id, path: "/" + url.PathEscape(id),
		timeout: 15 * time.Second, maxElapsed: 15 * time.Second, repeatable: true,
	}, &m)
	return &m, err
}

// isDestroyed reports whether a machine in this state is gone, or will be and cannot be kept. Source: Fly's documentation,
// "Machine states".
func isDestroyed(state string) bool {
	switch state {
	case "destroying", "destroyed", "replaced", "migrated":
		return true
	}
	return false
}

// machineOf converts a machine. If its host does not answer, the API gives incomplete_config instead of config.
func machineOf(m *flyapi.Machine) engine.Machine {
	m.RemoveCompatChecks()
	checks := m.AllHealthChecks()
	updated, _ := time.Parse(time.RFC3339, m.UpdatedAt) // zero if it is missing
	out := engine.Machine{
		ID: m.ID, Name: m.Name, Region: m.Region, State: engine.FlyState(m.State), ProcessGroup: m.ProcessGroup(),
		Image: imageOf(m), Digest: m.ImageRef.Digest, InstanceID: m.InstanceID, HostStatus: engine.HostStatus(m.HostStatus),
		ChecksPassed: checks.Passing, ChecksTotal: checks.Total, UpdatedAt: updated,
		Temporary: m.GetMetadataByKey(metadataUpgrade), UnderLock: m.GetMetadataByKey(metadataUnderLock) != "", KeepsDisk: keepsDisk(m.GetConfig()),
	}
	if config := m.GetConfig(); config != nil {
		out.StandbyFor = strings.Join(config.Standbys, ", ")
	}
	for _, c := range m.Checks {
		if c.Status != flyapi.Passing {
			out.ChecksFailing = append(out.ChecksFailing, c.Name)
		}
	}
	out.LeftOut = leftOut(out)
	return out
}

// keepsDisk reports whether the root's files outlive a restart. Source: Fly's documentation of fly.toml, persist_rootfs, which
// older configurations have in guest.
func keepsDisk(config *flyapi.MachineConfig) bool {
	keeps := func(p flyapi.MachinePersistRootfs) bool {
		return p == flyapi.MachinePersistRootfsRestart || p == flyapi.MachinePersistRootfsAlways
	}
	//lint:ignore SA1019 older configurations have it there
	return config != nil && (config.Rootfs != nil && keeps(config.Rootfs.Persist) || config.Guest != nil && keeps(config.Guest.PersistRootfs))
}

// imageOf returns HOST/APP:TAG, the form of FLY_IMAGE_REF in the machine.
func imageOf(m *flyapi.Machine) string {
	if ref := m.ImageRef; ref.Tag != "" {
		return strings.TrimPrefix(ref.Registry+"/"+ref.Repository+":"+ref.Tag, "/")
	}
	if config := m.GetConfig(); config != nil {
		image, _, _ := strings.Cut(config.Image, "@")
		return image
	}
	return ""
}

// leftOut says why a machine does not run the app but belongs to flyctl or to flydeploy. "" means that it runs the app.
func leftOut(m engine.Machine) string {
	switch {
	case m.Temporary != "":
		return "the temporary machine of deploy " + m.Temporary
	case m.ProcessGroup == flyapi.MachineProcessGroupFlyAppReleaseCommand, m.ProcessGroup == "release_command":
		return "it runs a release command for flyctl"
	case m.ProcessGroup == flyapi.MachineProcessGroupFlyAppTestMachineCommand:
		return "it runs a test command for flyctl"
	case m.ProcessGroup == flyapi.MachineProcessGroupFlyAppConsole:
		return "it is a machine of `fly console`"
	case strings.HasPrefix(m.ProcessGroup, "fly_app_"):
		return "its process group " + m.ProcessGroup + " is reserved for flyctl"
	}
	return ""
}
