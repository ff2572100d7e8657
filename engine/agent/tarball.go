package agent

import (
	"context"
	"fmt"

	"flydeploy/engine"
)

// Tarball is what the temporary machine made out of the new image's release.
type Tarball struct {
	Path       string `json:"path"` // on the temporary machine
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`        // bytes
	AppVersion string `json:"app_vsn"`     // the OTP application's vsn
	Release    string `json:"release_vsn"` // of the release
	ERTS       string `json:"erts"`
	OTP        string `json:"otp"`
	Elixir     string `json:"elixir"`
	Entries    int    `json:"entries"`
	Beams      int    `json:"beams"`
}

// MakeTarball makes the upgrade's tarball of the release at root (RELEASE_ROOT), with its configuration if config, on the temporary machine, which runs no VM. Lasts
// seconds to minutes: the work is detached, progress tells entries. Idempotent by id, the upgrade's.
func MakeTarball(ctx context.Context, exec Exec, id, root, otpApp string, config bool, progress func(done, total int64)) (Tarball, error) {
	if !validApp.MatchString(otpApp) {
		return Tarball{}, fmt.Errorf("making the tarball: the OTP application %q has no valid name", printable(otpApp, 80))
	}
	job := job{exec: exec, name: "tarball", dir: jobDir(id), root: root, app: otpApp, config: config, doing: "making the tarball"}
	var t struct {
		Tarball
		Error string `json:"error"`
	}
	if err := job.result(ctx, progress, &t); err != nil {
		return Tarball{}, err
	}
	if t.Error != "" {
		return Tarball{}, &Refusal{"tarball_failed", fmt.Sprintf("%s: %s", job.doing, printable(t.Error, 400))}
	}
	if !engine.IsSHA256(t.SHA256) || t.Size <= 0 || t.Beams == 0 {
		return Tarball{}, fmt.Errorf("%s: the result is not valid", job.doing)
	}
	for _, text := range []*string{&t.AppVersion, &t.Release, &t.ERTS, &t.OTP, &t.Elixir} {
		*text = printable(*text, 80)
	}
	return t.Tarball, nil
}
