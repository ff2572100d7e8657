package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"flydeploy/text"
)

// Code is what a machine runs.
type Code struct {
	Version string `json:"version"` // the OTP application's vsn
	// GitRevision is that of the deploy that brought it; "" where none is recorded, as after a cold deploy.
	GitRevision string `json:"git_revision,omitempty"`
}

// Named gives version and revision, such as "1.2.0 (4f2c91ab)".
func (c Code) Named() string { return named(c.Version, c.GitRevision) }

// Named gives the new version and its revision.
func (u Upgrade) Named() string { return named(u.Version, u.GitRevision) }

func named(version, revision string) string {
	if revision == "" {
		return version
	}
	return version + " (" + ShortRevision(revision) + ")"
}

// From says what the machines run, the most frequent first: "1.0.0", or "1.1.0 (4f2c91ab) on 4 machines, 1.0.0 on 2 machines". It is ""
// if no machine has said so.
func (p *Plan) From() string {
	counts := map[Code]int{}
	for _, m := range p.Machines {
		if m.Runs.Version != "" {
			counts[m.Runs]++
		}
	}
	codes := slices.SortedFunc(maps.Keys(counts), func(a, b Code) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.Named(), b.Named()))
	})
	parts := make([]string, 0, len(codes))
	for _, c := range codes {
		part := c.Named()
		if len(codes) > 1 {
			part += " on " + text.Counted(counts[c], "machine")
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// ShortRevision gives the first ten digits of a git revision, and whether files differed from it: "4f2c91ab07-dirty".
func ShortRevision(git string) string {
	commit, dirty, differs := strings.Cut(git, "-")
	commit = commit[:min(len(commit), 10)]
	if differs {
		commit += "-" + dirty
	}
	return commit
}
