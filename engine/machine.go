package engine

import (
	"cmp"
	"time"
)

// Machine is a Fly Machine as a deploy sees it.
type Machine struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Region       string     `json:"region"`
	State        FlyState   `json:"state"`
	ProcessGroup string     `json:"process_group,omitempty"`
	Image        string     `json:"image_ref,omitempty"` // repository:tag
	Digest       string     `json:"image_digest,omitempty"`
	InstanceID   string     `json:"instance_id,omitempty"` // changes with every update of the machine
	HostStatus   HostStatus `json:"host_status,omitempty"`
	ChecksPassed int        `json:"checks_passed"`
	ChecksTotal  int        `json:"checks_total"`
	// ChecksFailing names the checks that do not pass.
	ChecksFailing []string  `json:"checks_failing,omitempty"`
	UpdatedAt     time.Time `json:"updated_at,omitzero"`
	Cordoned      bool      `json:"cordoned,omitempty"`    // the proxy sends it no requests
	KeepsDisk     bool      `json:"keeps_disk,omitempty"`  // a restart does not lead back to the image's files: persist_rootfs
	StandbyFor    string    `json:"standby_for,omitempty"` // the machines whose place it takes when their hosts fail: "m1, m2"
	Lease         Lease     `json:"lease,omitzero"`        // zero if nobody holds one
	// Temporary is the upgrade ID of the deploy that created this temporary machine; "" for the app's own machines.
	Temporary string `json:"temporary,omitempty"`
	// UnderLock says that this deploy held the lock when it created the machine, which a plan does not. Who holds the lock now may destroy it.
	UnderLock bool `json:"under_lock,omitempty"`
	// LeftOut says why a deploy does not touch this machine ("flyctl's release command"); "" if it may.
	LeftOut string `json:"left_out,omitempty"`
}

// Lease is somebody's right to change a machine, such as that of a `fly deploy` under way.
type Lease struct {
	Owner       string    `json:"owner"`
	Description string    `json:"description,omitempty"`
	Until       time.Time `json:"until"` // it is renewed while it is needed
}

// Held reports whether anybody held the lease when the fleet was listed.
func (l Lease) Held() bool { return !l.Until.IsZero() }

// Holder says who holds it, and for what.
func (l Lease) Holder() string {
	owner := cmp.Or(l.Owner, "somebody")
	if l.Description != "" && l.Description != owner {
		owner += " (" + l.Description + ")"
	}
	return owner
}

// Caution says what an operator should know about a machine before changing it, "" if nothing: its host, its lease, a cordon.
func (m Machine) Caution() string {
	switch {
	case m.HostStatus != "" && m.HostStatus != HostOK:
		return "host " + string(m.HostStatus)
	case m.Lease.Held():
		return "leased by " + m.Lease.Holder()
	case m.Cordoned:
		return "cordoned"
	}
	return ""
}

// FullImage gives the machine's image as HOST/APP:TAG@DIGEST, without the digest if that is unknown.
func (m Machine) FullImage() string { return WithDigest(m.Image, m.Digest) }

// Where names the machine in errors: "machine 148e00016c0000".
func (m Machine) Where() string { return "machine " + m.ID }

// FlyState is the state of a machine as the Machines API spells it. There are more of them than those that are named here.
type FlyState string

// The states of machines that are told apart.
const (
	StateCreated    FlyState = "created"
	StateStarted    FlyState = "started"
	StateStarting   FlyState = "starting"
	StateRestarting FlyState = "restarting"
	StateStopped    FlyState = "stopped"
	StateSuspended  FlyState = "suspended"
	StateFailed     FlyState = "failed"
	StateDestroyed  FlyState = "destroyed"
)

// HostStatus is the state of a machine's host as the Machines API spells it, "" if that does not say.
type HostStatus string

// The states of hosts.
const (
	HostOK          HostStatus = "ok"
	HostUnknown     HostStatus = "unknown"
	HostUnreachable HostStatus = "unreachable"
)

// IsStarting reports whether a machine is on its way to be started.
func (m Machine) IsStarting() bool { return m.State == StateStarting || m.State == StateRestarting }

// WhyLeftOut says why a machine cannot take part in a deploy now; "" if it can.
func WhyLeftOut(m Machine) string {
	switch {
	case m.LeftOut != "":
		return m.LeftOut
	case m.HostStatus == HostUnreachable:
		return "its host is unreachable"
	case m.State == StateStarted:
		return ""
	case m.State == StateStopped && m.StandbyFor != "":
		return "stopped, as the standby for " + m.StandbyFor + ": it takes the upgrade at its next boot"
	case m.State == StateStopped:
		return "stopped: it takes the upgrade at its next boot"
	case m.State == StateSuspended:
		return "suspended: it catches up when it wakes, if its release calls the startup hook"
	default:
		return "its state is " + string(m.State)
	}
}

// Reasons for leaving out a machine that runs.
const (
	LeftOutNoVM        = "runs no Elixir release"
	LeftOutNotSelected = "not selected"
)

// ByID indexes machines by their IDs.
func ByID(all []Machine) map[string]Machine {
	found := make(map[string]Machine, len(all))
	for _, m := range all {
		found[m.ID] = m
	}
	return found
}

// BaseImage gives the reference of the image that most of the machines run, with its digest if that is known; "" if there are no
// machines. In a tie, the image that reached that number first wins.
func BaseImage(machines []Machine) string {
	count := map[string]int{}
	best := ""
	for _, m := range machines {
		image := m.FullImage()
		count[image]++
		if count[image] > count[best] {
			best = image
		}
	}
	return best
}
