package rehearse

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// source is where a release comes from.
type source struct {
	given string // as the command line names it
	kind  sourceKind
}

type sourceKind string

const (
	folder  sourceKind = "folder"
	archive sourceKind = "archive"
	image   sourceKind = "image"
)

// makeOne is what to do where there is no release.
const makeOne = "Give the folder that `MIX_ENV=prod mix release` makes (_build/prod/rel/NAME), an archive of it (.tar.gz), or an image (HOST/APP:TAG)."

// sourceOf tells what is meant: what lies on this computer, else an image.
func sourceOf(given string) (source, error) {
	info, err := os.Stat(given)
	switch {
	case err == nil && info.IsDir():
		return source{given, folder}, nil
	case err == nil:
		return source{given, archive}, nil
	case isPath(given):
		return source{}, engine.NewProblem("no_release", "there is no release at "+text.Line(given), nil, makeOne)
	}
	return source{given, image}, nil
}

// isPath: no registry has an image of such a name.
func isPath(given string) bool {
	return given == "" || strings.HasPrefix(given, ".") || strings.HasPrefix(given, "/") || strings.HasPrefix(given, "~") ||
		isArchive(given) || !strings.ContainsAny(given, ":/@")
}

func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

// release is one that lies in a folder of this computer.
type release struct {
	dir     string
	name    string
	version string
	erts    string    // the version of its Erlang VM
	given   string    // as the command line names it
	image   Described // of the image that it comes from
}

// open gives the release, from a folder below work where it does not lie in one.
func (s source) open(ctx context.Context, o Options, work string, tell func(string)) (release, error) {
	dir := s.given
	var described Described
	if s.kind != folder {
		var err error
		if dir, described, err = s.unpack(ctx, o, work, tell); err != nil {
			return release{}, err
		}
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return release{}, s.without(err)
	}
	r, err := releaseIn(dir)
	if err != nil {
		return release{}, s.without(err)
	}
	r.given, r.image = s.given, described
	return r, r.runsHere()
}

// unpack puts an archive's or an image's release into a new folder below work.
func (s source) unpack(ctx context.Context, o Options, work string, tell func(string)) (dir string, d Described, err error) {
	if dir, err = os.MkdirTemp(work, "release-"); err != nil {
		return "", d, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // it becomes the machines' folder
		return "", d, err
	}
	files, err := newUnpacking(dir, path.Clean(o.Root))
	if err != nil {
		return "", d, err
	}
	defer files.close()
	tell("reading " + text.Line(s.given) + " …")
	if s.kind == image {
		d, err = s.pull(ctx, o, files)
	} else {
		err = readArchive(ctx, s.given, files.root, files.add)
	}
	if err != nil {
		return "", d, s.unread(err)
	}
	if err := files.linkAll(); err != nil {
		return "", d, err
	}
	if s.kind == archive {
		dir = within(dir)
	}
	return dir, d, nil
}

// pull reads an image's release, and how the image runs: the same image, whatever becomes of its tag meanwhile.
func (s source) pull(ctx context.Context, o Options, files *unpacking) (Described, error) {
	digest, err := o.Read(ctx, s.given, files.root, nil, files.add)
	if err != nil {
		return Described{}, err
	}
	return o.Describe(ctx, engine.WithDigest(s.given, digest))
}

// unread says what to do about an image that cannot be read: a deploy may read it otherwise, a rehearsal may not.
func (s source) unread(err error) error {
	switch p := engine.AsProblem(err); p.Name {
	case "no_image", "registry_failed", "unreadable_image", "image_too_large":
		return engine.NewProblem(p.Name, p.What, nil, "Check the image's name and the network, or give the release's folder: `docker create` and `docker cp` copy it out of an image.").WithCause(err)
	}
	return err
}

// without says that there is no release.
func (s source) without(why error) error {
	remedy := makeOne
	switch s.kind {
	case image:
		remedy = "Name the release's folder in the image: --release-root, or release_root in flydeploy.toml."
	case folder:
		if found, _ := filepath.Glob(filepath.Join(s.given, "_build", "*", "rel", "*", "releases", "start_erl.data")); len(found) > 0 {
			remedy = "This one holds " + filepath.Dir(filepath.Dir(found[0])) + ": give that."
		}
	}
	return engine.NewProblem("no_release", text.Line(s.given)+" holds no release", why, remedy)
}

// releaseIn finds the release in a folder: the one that releases/start_erl.data boots.
func releaseIn(dir string) (release, error) {
	body, err := os.ReadFile(filepath.Join(dir, "releases", "start_erl.data"))
	if err != nil {
		return release{}, fmt.Errorf("read releases/start_erl.data: %w", reason(err))
	}
	words := strings.Fields(string(body))
	if len(words) != 2 || filepath.Base(words[1]) != words[1] {
		return release{}, fmt.Errorf("releases/start_erl.data names no version")
	}
	found, err := filepath.Glob(filepath.Join(dir, "releases", "*", "*.rel"))
	if err != nil {
		return release{}, err
	}
	for _, rel := range found {
		name := strings.TrimSuffix(filepath.Base(rel), ".rel")
		if _, err := os.Stat(filepath.Join(dir, "bin", name)); err == nil {
			return release{dir: dir, name: name, version: words[1], erts: words[0]}, nil
		}
	}
	return release{}, fmt.Errorf("bin has no script of it")
}

// command is how it starts: as its image says, where that starts a program of the release, else by Phoenix's bin/server, where it has one, as the
// image that `fly launch` makes does. nil for bin/NAME start.
func (r release) command(root string) []string {
	if command := r.image.command(r.dir, root); command != nil {
		return command
	}
	if _, err := os.Stat(filepath.Join(r.dir, "bin", "server")); err != nil {
		return nil
	}
	return []string{root + "/bin/server"}
}
