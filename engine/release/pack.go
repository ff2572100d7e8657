package release

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"flydeploy/engine"
)

// Tarball is the upgrade's tarball, in a temporary file.
type Tarball struct {
	File       *os.File
	SHA256     string // hex
	Size       int64  // bytes
	AppVersion string // the OTP application's vsn
	Entries    int
}

// Close removes the file.
func (t *Tarball) Close() { remove(t.File) }

// Pack makes the tarball. settings are the lines that the configuration's settings are in a manifest, sorted. progress, unless nil, is told
// the entries done and their total. The caller must close the tarball.
func (r *Release) Pack(ctx context.Context, otpApp string, settings []string, progress func(done, total int64)) (*Tarball, error) {
	folder, version, err := r.application(otpApp)
	if err != nil {
		return nil, err
	}
	names, err := r.entries()
	if err != nil {
		return nil, err
	}
	manifest := path.Join(folder, manifestName)
	names = append(names, manifest)
	slices.Sort(names)
	f, err := temporaryFile()
	if err != nil {
		return nil, err
	}
	t := &Tarball{File: f, AppVersion: version, Entries: len(names)}
	if err := r.write(ctx, t, names, map[string]string{manifest: r.manifest(settings)}, progress); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// manifestName is FlyDeployAgent.Manifest's.
const manifestName = "flydeploy.manifest"

// manifest gives FlyDeployAgent.Manifest.text.
func (r *Release) manifest(settings []string) string {
	var lines []string
	for name, f := range r.files {
		if name == "releases/COOKIE" || path.Base(name) == manifestName {
			continue
		}
		kind := "file"
		if f.native {
			kind = "native"
		}
		lines = append(lines, fmt.Sprintf("%s %s %d %s\n", kind, f.sha256, f.size, name))
	}
	slices.Sort(lines)
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line)
	}
	for _, line := range settings {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// entries are the names of what takes part in an upgrade, without the manifest.
func (r *Release) entries() ([]string, error) {
	var names []string
	for name, f := range r.files {
		part, err := takesPart(name)
		if err != nil {
			return nil, err
		}
		if part && r.isEntry(name) && !(f.native && strings.Contains(name, "/priv/")) {
			names = append(names, name)
		}
	}
	return names, nil
}

var code = regexp.MustCompile(`^lib/[^/]+/(ebin/[^/]+\.(beam|app)|priv/.+)$`)

func (r *Release) isEntry(name string) bool {
	protocol, ok := strings.CutPrefix(name, "releases/"+r.Version+"/consolidated/")
	return code.MatchString(name) || ok && !strings.Contains(protocol, "/") && strings.HasSuffix(protocol, ".beam")
}

func (r *Release) write(ctx context.Context, t *Tarball, names []string, texts map[string]string, progress func(done, total int64)) error {
	sum := sha256.New()
	zipped := gzip.NewWriter(io.MultiWriter(spooled{t.File}, sum))
	archive := tar.NewWriter(zipped)
	for n, name := range names {
		content, size := io.Reader(strings.NewReader(texts[name])), int64(len(texts[name]))
		if _, ok := texts[name]; !ok {
			f := r.files[name]
			content, size = r.content(f), f.size
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("pack the release: %w", context.Cause(ctx))
		}
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644})
		if err == nil {
			_, err = io.Copy(archive, content)
		}
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if progress != nil {
			progress(int64(n+1), int64(len(names)))
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("pack the release: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return fmt.Errorf("pack the release: %w", err)
	}
	at, err := t.File.Seek(0, io.SeekCurrent)
	t.SHA256, t.Size = hex.EncodeToString(sum.Sum(nil)), at
	return err
}

// application gives the folder of an application's code, and its version.
func (r *Release) application(app string) (folder, version string, err error) {
	var found []string
	for name := range r.files {
		if dir, base := path.Split(name); base == app+".app" && strings.HasPrefix(dir, "lib/"+app+"-") && strings.HasSuffix(dir, "/ebin/") && strings.Count(dir, "/") == 3 {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		return "", "", noApplication(app)
	}
	spec, _, err := r.text(found[0])
	if err != nil {
		return "", "", err
	}
	if version = appVersion(spec, app); version == "" {
		return "", "", noApplication(app)
	}
	return "lib/" + app + "-" + version + "/ebin", version, nil
}

func noApplication(app string) error {
	return engine.NewProblem("tarball_failed", "the new release has no application "+app, nil, "Name the OTP application to upgrade: --otp-app, or otp_app in flydeploy.toml.")
}

// erlangTokens takes Erlang's text apart, as far as a .app file needs it: comments, strings, quoted atoms, words, and other characters.
var erlangTokens = regexp.MustCompile(`%[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z0-9_@]+|\S`)

// tokensOf takes a text apart, without its comments.
func tokensOf(text string) []string {
	return slices.DeleteFunc(erlangTokens.FindAllString(text, -1), func(t string) bool { return strings.HasPrefix(t, "%") })
}

// appVersion reads the vsn in the text of an application's .app file, "" if it is not one.
func appVersion(spec, app string) string {
	tokens := tokensOf(spec)
	if len(tokens) < 4 || tokens[0] != "{" || tokens[1] != "application" || tokens[2] != "," || strings.Trim(tokens[3], "'") != app {
		return ""
	}
	for i := 4; i+3 < len(tokens); i++ {
		if tokens[i] == "{" && tokens[i+1] == "vsn" && tokens[i+2] == "," && strings.HasPrefix(tokens[i+3], `"`) {
			version := strings.Trim(tokens[i+3], `"`)
			if !plainVersion.MatchString(version) {
				return ""
			}
			return version
		}
	}
	return ""
}

// plainVersion is what a version may be: it becomes part of names.
var plainVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)
