package cli

import (
	"regexp"
	"runtime/debug"
	"strings"
)

// version is that of this program: a release's, or dev-REVISION; with "dirty" where files differed from it.
var version = versionOf(debug.ReadBuildInfo())

// VersionOf is what `flydeploy --version` says in a binary that was built so.
func VersionOf(info *debug.BuildInfo) string { return versionOf(info, info != nil) }

// pseudo is Go's version of a commit that is no release: https://go.dev/ref/mod#pseudo-versions
var pseudo = regexp.MustCompile(`[-.][0-9]{14}-([0-9a-f]{12})(\+|$)`)

func versionOf(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "dev"
	}
	module := info.Main.Version
	of := pseudo.FindStringSubmatch(module)
	if strings.HasPrefix(module, "v") && of == nil {
		return module[1:]
	}
	version, dirty := "dev", strings.HasSuffix(module, "+dirty")
	if of != nil {
		version += "-" + of[1]
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && of == nil:
			version += "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = true
		}
	}
	if dirty {
		version += "-dirty"
	}
	return version
}
