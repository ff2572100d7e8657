package fly

import (
	"fmt"
	"strings"
)

const (
	ofFlydeploy = "give it to flydeploy, before the --"
	alwaysBuilt = "flydeploy builds and pushes, and nothing else"
	ofMachines  = "it changes machines, and this only builds an image"
)

// notPassed are the flags of `fly deploy` that a build cannot take, with the reason.
var notPassed = map[string]string{
	"--app": ofFlydeploy, "-a": ofFlydeploy, "--config": ofFlydeploy, "-c": ofFlydeploy,
	"--build-arg": ofFlydeploy, "--no-cache": ofFlydeploy, "--buildkit": ofFlydeploy, "--depot": ofFlydeploy, "--image-label": ofFlydeploy,
	"--image":        "flydeploy takes it as --skip-build --image",
	"-i":             "flydeploy takes it as --skip-build --image",
	"--access-token": "every process of the computer could read it: set FLY_ACCESS_TOKEN",
	"-t":             "every process of the computer could read it: set FLY_ACCESS_TOKEN",
	"--build-only":   alwaysBuilt, "--push": alwaysBuilt, "--help": "see `fly deploy --help`", "-h": "see `fly deploy --help`",
	"--strategy": ofMachines, "--detach": ofMachines, "--ha": ofMachines, "--now": ofMachines, "--env": ofMachines, "-e": ofMachines,
	"--release-command-timeout": ofMachines, "--wait-timeout": ofMachines, "--lease-timeout": ofMachines, "--only-regions": ofMachines,
	"--exclude-regions": ofMachines, "--only-machines": ofMachines, "--exclude-machines": ofMachines, "--process-groups": ofMachines,
	"--update-only": ofMachines, "--max-concurrent": ofMachines, "--max-unavailable": ofMachines, "--volume-initial-size": ofMachines,
	"--vm-size": ofMachines, "--vm-memory": ofMachines, "--vm-cpus": ofMachines, "--vm-cpu-kind": ofMachines, "--primary-region": ofMachines,
	"--regions": ofMachines, "--flycast": ofMachines, "--no-public-ips": ofMachines, "--file-local": ofMachines,
	"--file-literal": ofMachines, "--file-secret": ofMachines, "--smoke-checks": ofMachines, "--skip-release-command": ofMachines,
	"--dns-checks": ofMachines, "--deploy-retries": ofMachines, "--signal": ofMachines, "--https-failover": ofMachines, "--host-dedication-id": ofMachines,
	"--export-manifest": "it builds nothing", "--from-manifest": "it builds nothing",
}

// CheckPassed refuses flags for `fly deploy` that a build cannot take. The error names the flag, never its value: that may be a secret.
func CheckPassed(flags []string) error {
	for _, flag := range flags {
		if why, refused := notPassed[nameOf(flag)]; refused {
			return fmt.Errorf("%s cannot be passed on to `fly deploy`: %s", nameOf(flag), why)
		}
	}
	return nil
}

// nameOf is a flag's name, without a value that follows it: --app of --app=shop, -a of -ashop.
func nameOf(flag string) string {
	if len(flag) > 2 && flag[0] == '-' && flag[1] != '-' {
		return flag[:2]
	}
	name, _, _ := strings.Cut(flag, "=")
	return name
}

// choosesBuilder reports whether the flags say where flyctl builds.
func choosesBuilder(flags []string) bool {
	for _, flag := range flags {
		if name := nameOf(flag); name == "--local-only" || name == "--remote-only" {
			return true
		}
	}
	return false
}
