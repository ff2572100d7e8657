package sign

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
)

// App is whose upgrade it is: none is loaded by another app that shares bucket or key.
type App struct{ Fly, OTP string }

// What a signature is for. One for a deploy's record, which may never have been committed, is none for current.json.
const (
	forUpgrade = "flydeploy upgrade 1\n"
	forDeploy  = "flydeploy deploy 2\n" // 1 was without the selection and the strategy
	forOwnCode = "flydeploy own code 1\n"
)

type field struct{ name, value string }

// message gives the bytes that are signed of an upgrade. FlyDeploy.Signature in elixir/lib makes the same.
func message(app App, s engine.Signature, u engine.HotUpgrade) []byte {
	return encode(forUpgrade, upgradeFields(app, s, u))
}

// deployMessage gives those of a deploy's record: a deploy that resumes it goes by all of this.
func deployMessage(app App, s engine.Signature, u engine.HotUpgrade, o Ordered) []byte {
	fields := append(upgradeFields(app, s, u),
		field{"machines", list(o.Select.Machines)},
		field{"regions", list(o.Select.Regions)},
		field{"process_groups", list(o.Select.ProcessGroups)},
		field{"strategy", string(o.Strategy.Kind)},
		field{"wave_size", number(int64(o.Strategy.WaveSize))},
		field{"bake_ns", number(int64(o.Strategy.Bake))},
	)
	if o.Strategy.By != "" {
		fields = append(fields, field{"by", string(o.Strategy.By)})
	}
	if o.Strategy.Pause != 0 {
		fields = append(fields, field{"pause_ns", number(int64(o.Strategy.Pause))})
	}
	if o.Strategy.Trial != 0 {
		fields = append(fields, field{"trial_ns", number(int64(o.Strategy.Trial))})
	}
	if len(o.Resumes) > 0 {
		fields = append(fields, field{"resumes", list(o.Resumes)})
	}
	return encode(forDeploy, fields)
}

// ownCodeMessage gives those of a record that names no upgrade. It is of no image: what was signed before it is over for all of them.
func ownCodeMessage(app App, s engine.Signature) []byte {
	return encode(forOwnCode, []field{{"fly_app", app.Fly}, {"otp_app", app.OTP}, {"signed_at_ms", number(s.SignedAtMS)}})
}

// encode writes each field with its length, so that none can pass for a part of another.
func encode(purpose string, fields []field) []byte {
	var b strings.Builder
	b.WriteString(purpose)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s %d %s\n", f.name, len(f.value), f.value)
	}
	return []byte(b.String())
}

// list gives a list of names, each with its length.
func list(names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%d %s,", len(name), name)
	}
	return b.String()
}

func upgradeFields(app App, s engine.Signature, u engine.HotUpgrade) []field {
	fields := []field{
		{"fly_app", app.Fly},
		{"otp_app", app.OTP},
		{"image", s.Image},
		{"image_code", s.ImageCode},
		{"machine", s.Machine},
		{"signed_at_ms", number(s.SignedAtMS)},
		{"id", u.ID},
		{"version", u.Version},
		{"source_image_ref", u.SourceImageRef},
		{"deployed_at", timeOf(u.DeployedAt)},
		{"sha256", u.SHA256},
		{"size", number(u.Size)},
		{"fingerprint", u.Fingerprint},
		{"git_revision", u.GitRevision},
		{"release_command", u.ReleaseCommand},
		{"agent_sha256", u.Agent.SHA256},
		{"agent_size", number(u.Agent.Size)},
		{"agent_source", u.Agent.Source},
		{"agent_otp", u.Agent.OTP},
		{"agent_elixir", u.Agent.Elixir},
	}
	if u.ApplyConfig { // what was signed before there was such a field stays valid
		fields = append(fields, field{"apply_config", "true"})
	}
	if u.ApplyChildren != engine.ApplyNoChildren {
		fields = append(fields, field{"apply_children", string(u.ApplyChildren)})
	}
	return fields
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// timeOf is the time as JSON has it.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
