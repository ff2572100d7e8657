// Package release reads an Elixir release out of an image, and packs it as elixir/orchestrator/tarball.ex does in a temporary machine: the
// same entries with the same bytes. Memory stays small: contents lie in files of the computer's temporary folder.
package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"flydeploy/elixir"
	"flydeploy/engine"
	"flydeploy/text"
)

// Release is what an image has below RELEASE_ROOT.
type Release struct {
	Image   string // by its digest
	Version string // of the release
	ERTS    string

	root  string
	files map[string]file // by their names below root
	links map[string]string
	dirs  map[string]bool // folders with files, once all files are known
	spool *os.File        // contents, one after the other
	end   int64
}

// file is a file of the release.
type file struct {
	size   int64
	sha256 string
	native bool
	at     int64 // in the spool, -1 where its content is not kept
}

const packByMachine = "Have a temporary machine pack it: --source machine."

// Read reads the release at root of an image. The caller must close it.
func Read(ctx context.Context, read engine.ReadImage, image, root string, layers func(done, total int64)) (*Release, error) {
	spool, err := temporaryFile()
	if err != nil {
		return nil, err
	}
	r := &Release{root: path.Clean(root), files: map[string]file{}, links: map[string]string{}, spool: spool}
	digest, err := read(ctx, image, r.root, layers, r.add)
	r.Image = engine.WithDigest(image, digest)
	if err == nil {
		err = r.resolve()
	}
	if err == nil {
		err = r.readVersion(image)
	}
	if err == nil {
		err = r.dropLeftOver()
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close removes what was kept of it.
func (r *Release) Close() { remove(r.spool) }

// temporaryFile makes a file that is gone with its process, as far as the operating system has that.
func temporaryFile() (*os.File, error) {
	f, err := os.CreateTemp("", "flydeploy-release-")
	if err != nil {
		return nil, diskProblem(err)
	}
	_ = os.Remove(f.Name()) // elsewhere a file that is open stays
	return f, nil
}

func remove(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// diskProblem says why a temporary file cannot be written.
func diskProblem(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return engine.NewProblem("disk_full", "no space is left in this computer's folder of temporary files, "+os.TempDir(), nil,
			"Make room for the release there, or name another folder in TMPDIR.")
	}
	return engine.NewProblem("no_temporary_file", "write a temporary file on this computer", err, "Check the folder of temporary files, or name another one in TMPDIR.")
}

// kept are the names of files whose contents are of use: those that may take part in an upgrade, and those with settings.
var kept = regexp.MustCompile(`^(lib/[^/]+/ebin/[^/]+\.(beam|app)|lib/[^/]+/priv/.+|releases/[^/]+/consolidated/[^/]+\.beam|releases/start_erl\.data|releases/[^/]+/([^/]+\.rel|sys\.config|runtime\.exs|vm\.args|env\.sh))$`)

// add takes a file of the image.
func (r *Release) add(f engine.ImageFile, content io.Reader) error {
	delete(r.files, f.Name)
	delete(r.links, f.Name)
	if f.Link != "" {
		r.links[f.Name] = f.Link
		return nil
	}
	keeps, err := r.keeps(f.Name)
	if err != nil {
		return err
	}
	sum, head := sha256.New(), &firstBytes{}
	to := []io.Writer{sum, head}
	made := file{size: f.Size, at: -1}
	if keeps {
		made.at = r.end
		to = append(to, spooled{r.spool})
	}
	n, err := io.Copy(io.MultiWriter(to...), content)
	if err != nil {
		return err
	}
	if n != f.Size {
		return fmt.Errorf("%s: %w", text.Line(f.Name), io.ErrUnexpectedEOF)
	}
	if keeps {
		r.end += n
	}
	made.sha256, made.native = hex.EncodeToString(sum.Sum(nil)), string(head.bytes) == "\x7fELF"
	r.files[f.Name] = made
	return nil
}

// keeps reports whether the content of a file is of use later.
func (r *Release) keeps(name string) (bool, error) {
	if !kept.MatchString(name) {
		return false, nil
	}
	return takesPart(name)
}

// spooled tells errors of the spool from those of what is read.
type spooled struct{ file *os.File }

func (s spooled) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	if err != nil {
		err = diskProblem(err)
	}
	return n, err
}

// firstBytes keeps the first four bytes.
type firstBytes struct{ bytes []byte }

func (f *firstBytes) Write(p []byte) (int, error) {
	f.bytes = append(f.bytes, p[:min(len(p), 4-len(f.bytes))]...)
	return len(p), nil
}

// takesPart is FlyDeployAgent.Release.takes_part?.
func takesPart(name string) (bool, error) {
	folder, ok := strings.CutPrefix(name, "lib/")
	if !ok || path.Ext(name) == ".app" {
		return true, nil
	}
	system, err := elixir.SystemApplications()
	if err != nil {
		return false, err
	}
	folder, _, _ = strings.Cut(folder, "/")
	app, _, _ := strings.Cut(folder, "-")
	return !slices.Contains(system, app), nil
}

// resolve gives links the files that they lead to, as machines see them.
func (r *Release) resolve() error {
	r.dirs = map[string]bool{}
	for name := range r.files {
		for dir := path.Dir(name); dir != "." && !r.dirs[dir]; dir = path.Dir(dir) {
			r.dirs[dir] = true
		}
	}
	for name := range r.links {
		target, err := r.follow(name)
		if err != nil {
			return err
		}
		if f, ok := r.files[target]; ok && target != "" {
			if keeps, err := r.keeps(name); err != nil || keeps && f.at < 0 {
				return errors.Join(err, r.unclear(name, "leads to a file that takes no part in upgrades"))
			}
			r.files[name] = f
		}
	}
	return nil
}

// maxLinks is how many links may lead to one another.
const maxLinks = 40

// follow gives the name that a link leads to, "" for nothing.
func (r *Release) follow(name string) (string, error) {
	at := name
	for range maxLinks {
		to, ok := r.links[at]
		if !ok {
			return at, nil
		}
		below, ok := strings.CutPrefix(to, r.root+"/")
		switch {
		case !ok:
			return "", r.unclear(name, "leads out of the release's folder")
		case r.dirs[below]:
			return "", r.unclear(name, "leads to a folder")
		}
		at = below
	}
	return "", r.unclear(name, "leads to itself")
}

func (r *Release) unclear(name, what string) error {
	return engine.NewProblem("unreadable_image", fmt.Sprintf("the link %s of the image %s", text.Line(path.Join(r.root, name)), what), nil, packByMachine)
}

// maxText bounds a file of which the text is read, in bytes.
const maxText = 4 << 20

// text gives the content of a small file; false if the release has none of that name.
func (r *Release) text(name string) (string, bool, error) {
	f, ok := r.files[name]
	if !ok || f.at < 0 {
		return "", false, nil
	}
	if f.size > maxText {
		return "", false, engine.NewProblem("unreadable_image", fmt.Sprintf("%s of the image has %s", name, text.Bytes(f.size)), nil, packByMachine)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, r.content(f)); err != nil {
		return "", false, diskProblem(err)
	}
	return b.String(), true, nil
}

func (r *Release) content(f file) io.Reader { return io.NewSectionReader(r.spool, f.at, f.size) }

// readVersion reads which release boots.
func (r *Release) readVersion(image string) error {
	start, _, err := r.text("releases/start_erl.data")
	if err != nil {
		return err
	}
	words := strings.Fields(start)
	if len(words) != 2 || path.Base(words[1]) != words[1] {
		return engine.NewProblem("image_without_release", fmt.Sprintf("the image %s has no release at %s", image, r.root), nil,
			"Name the release's folder in the image: --release-root, or release_root in flydeploy.toml.")
	}
	r.ERTS, r.Version = text.Line(words[0]), words[1]
	return nil
}

// Texts gives the files of its configuration, those of names that it has.
func (r *Release) Texts(names []string) (map[string]string, error) {
	texts := map[string]string{}
	for _, name := range names {
		t, ok, err := r.text(path.Join("releases", r.Version, name))
		if err != nil {
			return nil, err
		}
		if ok {
			texts[name] = t
		}
	}
	return texts, nil
}

// Elixir gives the version of Elixir that it has, "" for none.
func (r *Release) Elixir() string {
	for name := range r.files {
		if rest, ok := strings.CutPrefix(name, "lib/elixir-"); ok && strings.HasSuffix(rest, "/ebin/elixir.app") {
			version, _, _ := strings.Cut(rest, "/")
			return text.Line(version)
		}
	}
	return ""
}
