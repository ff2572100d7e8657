package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"flydeploy/cli"
)

// built is the binary of one platform.
type built struct {
	os, arch string
	path     string
	version  string    // as `flydeploy --version` says it
	at       time.Time // of the commit
	info     *debug.BuildInfo
}

// name is that of the archive's folder.
func (b built) name() string { return "flydeploy_" + b.version + "_" + b.os + "_" + b.arch }

// How it is compiled: without cgo, so that it runs on any system of its kind, without the paths of this computer, and with the revision that it is built from.
var (
	buildFlags = []string{"-trimpath", "-buildvcs=auto", "-ldflags", "-s -w"}
	buildEnv   = []string{"CGO_ENABLED=0"}
)

// build compiles the binary for a platform.
func build(ctx context.Context, work, target string) (built, error) {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return built{}, fmt.Errorf("a platform is GOOS/GOARCH")
	}
	b := built{os: system, arch: arch, path: filepath.Join(work, system+"_"+arch)}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, buildFlags, []string{"-o", b.path, "flydeploy"})...)
	cmd.Env = slices.Concat(os.Environ(), buildEnv, []string{"GOOS=" + system, "GOARCH=" + arch})
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return b, fmt.Errorf("go build: %w", err)
	}
	var err error
	if b.info, err = buildinfo.ReadFile(b.path); err != nil {
		return b, err
	}
	b.version, b.at = cli.VersionOf(b.info), commitTime(b.info)
	return b, nil
}

// commitTime is when the sources were committed; the beginning of 2020 where no revision is known.
func commitTime(info *debug.BuildInfo) time.Time {
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return at.UTC()
			}
		}
	}
	return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
}
