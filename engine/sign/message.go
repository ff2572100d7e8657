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
	forDeploy  = "flydeploy deploy 1\n"
)

// message gives the bytes that are signed: each field with its length, so that none can pass for a part of another.
// FlyDeploy.Signature in elixir/lib makes the same.
func message(purpose string, app App, s engine.Signature, u engine.HotUpgrade) []byte {
	var b strings.Builder
	b.WriteString(purpose)
	for _, f := range []struct{ name, value string }{
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
	} {
		fmt.Fprintf(&b, "%s %d %s\n", f.name, len(f.value), f.value)
	}
	return []byte(b.String())
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// timeOf is the time as JSON has it.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
