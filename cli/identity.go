package cli

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/command"
)

// identity is what the record tells of who deploys what, and from where.
type identity struct{ owner, host, revision, ciLink string }

// identityWithin bounds how long a deploy waits for it.
const identityWithin = 5 * time.Second

// identify asks flyctl, git and the environment. dir is the app's folder.
func identify(ctx context.Context, dir string) identity {
	ctx, cancel := context.WithTimeout(ctx, identityWithin)
	defer cancel()
	id := identity{ciLink: ciLink(os.Getenv), revision: gitRevision(ctx, dir)}
	id.host, _ = os.Hostname()
	id.owner = owner(ctx)
	return id
}

// owner is who deploys from here, as locks and records name it.
func owner(ctx context.Context) string {
	if user := ciUser(os.Getenv); user != "" {
		return user
	}
	if user := flyUser(ctx); user != "" {
		return user
	}
	return localUser()
}

func (id identity) sign(s engine.Settings) engine.Settings {
	s.Owner, s.Host, s.GitRevision, s.CILink = id.owner, id.host, id.revision, id.ciLink
	return s
}

// ciUser names who started a CI job.
func ciUser(getenv func(string) string) string {
	for _, name := range []string{"GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR", "CIRCLE_USERNAME"} {
		if user := getenv(name); user != "" {
			return user
		}
	}
	return ""
}

// ciLink gives the address of the CI job that we are part of, "" outside of one.
func ciLink(getenv func(string) string) string {
	if run := getenv("GITHUB_RUN_ID"); run != "" {
		return getenv("GITHUB_SERVER_URL") + "/" + getenv("GITHUB_REPOSITORY") + "/actions/runs/" + run
	}
	for _, name := range []string{"CI_JOB_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "BUILD_URL"} {
		if link := getenv(name); strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://") {
			return link
		}
	}
	return ""
}

// gitRevision gives the commit that is checked out, with "-dirty" where files differ from it; "" outside of a repository.
func gitRevision(ctx context.Context, dir string) string {
	out, err := commandOutput(ctx, "git", "-C", dir, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
	if err != nil {
		return ""
	}
	return out
}

// gitSubject gives the first line of that commit's message, "" outside of a repository.
func gitSubject(ctx context.Context, dir string) string {
	out, err := commandOutput(ctx, "git", "-C", dir, "log", "-1", "--format=%s")
	if err != nil {
		return ""
	}
	return out
}

// flyUser asks flyctl for the e-mail address of its login. A deploy token has none.
func flyUser(ctx context.Context) string {
	for _, command := range []string{os.Getenv("FLYCTL"), "fly", "flyctl"} {
		if path, err := exec.LookPath(command); err == nil {
			if out, err := commandOutput(ctx, path, "auth", "whoami"); err == nil && strings.Contains(out, "@") && !strings.ContainsAny(out, " \n") {
				return out
			}
			return ""
		}
	}
	return ""
}

// localUser names whoever is logged in on this computer, as user@host.
func localUser() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(name, "unknown") + "@" + cmp.Or(host, "unknown")
}

func commandOutput(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(command.Environ(), "NO_COLOR=1", "FLY_NO_UPDATE_CHECK=1")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
