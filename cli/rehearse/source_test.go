package rehearse

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flydeploy/engine"
)

// aRelease are the files that make a folder a release, with the Erlang VM that is given.
func aRelease(vm []byte) map[string]string {
	return map[string]string{
		"bin/my_app": "#!/bin/sh\n", "bin/other": "#!/bin/sh\n", "releases/start_erl.data": "14.2 1.2.3", "releases/1.2.3/my_app.rel": "{release, …}.",
		"erts-14.2/bin/beam.smp": string(vm),
	}
}

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// problemOf fails unless err is the problem of this name, whose text has each of the words.
func problemOf(t *testing.T, err error, name string, words ...string) {
	t.Helper()
	p := engine.AsProblem(err)
	if p == nil || p.Name != name || p.Remedy == "" {
		t.Fatalf("%+v, want %s", p, name)
	}
	for _, word := range words {
		if !strings.Contains(p.Error(), word) {
			t.Errorf("%q is not in %q", word, p.Error())
		}
	}
}

func TestWhatAReleaseIsNamedBy(t *testing.T) {
	dir := write(t, t.TempDir(), aRelease(nil))
	t.Chdir(dir)
	for given, want := range map[string]sourceKind{
		dir: folder, "releases": folder, "./bin": folder, "releases/start_erl.data": archive, // whatever lies there
		"registry.fly.io/my-app:v1": image, "my-app:v1": image, "ghcr.io/me/my-app@sha256:00": image,
	} {
		if s, err := sourceOf(given); err != nil || s.kind != want {
			t.Errorf("%s is %+v, %v", given, s, err)
		}
	}
	for _, given := range []string{"", "./none", "/none", "~/none", "none.tar.gz", "my-app"} {
		_, err := sourceOf(given)
		problemOf(t, err, "no_release", "mix release")
	}
	for given, want := range map[string]string{
		dir: "my-app", "registry.fly.io/shop:v1": "shop", "localhost:5000/me/shop:v1@sha256:00": "shop", "bin": "app", "./none": "app",
	} {
		if got := AppOf(given); got != want {
			t.Errorf("the app of %s is %q", given, got)
		}
	}
}

// A folder may be a link, as deploys by folder often have it.
func TestAReleaseInAFolder(t *testing.T) {
	dir := write(t, t.TempDir(), aRelease(vmFor(thisComputer)))
	link := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	r, err := source{link, folder}.open(t.Context(), Options{Root: "/app"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if real, _ := filepath.EvalSymlinks(dir); r.dir != real || r.name != "my_app" || r.version != "1.2.3" || r.command("/app") != nil {
		t.Errorf("%+v", r)
	}
	write(t, dir, map[string]string{"bin/server": "#!/bin/sh\n"})
	if c := r.command("/srv"); len(c) != 1 || c[0] != "/srv/bin/server" {
		t.Errorf("it starts by %q", c)
	}
}

func TestAFolderWithoutARelease(t *testing.T) {
	project := write(t, t.TempDir(), map[string]string{"mix.exs": "", "_build/prod/rel/my_app/releases/start_erl.data": "14 1"})
	_, err := source{project, folder}.open(t.Context(), Options{Root: "/app"}, "", nil)
	problemOf(t, err, "no_release", "holds no release", filepath.Join(project, "_build/prod/rel/my_app")+": give that")
	for name, files := range map[string]map[string]string{
		"empty":           {},
		"no version":      {"releases/start_erl.data": "14"},
		"an odd version":  {"releases/start_erl.data": "14 ../1"},
		"without scripts": {"releases/start_erl.data": "14 1", "releases/1/my_app.rel": ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source{write(t, t.TempDir(), files), folder}.open(t.Context(), Options{Root: "/app"}, "", nil)
			problemOf(t, err, "no_release", "holds no release", "mix release")
		})
	}
}

// imageOf stands for a registry.
func imageOf(files map[string]string, links map[string]string) engine.ReadImage {
	return func(_ context.Context, name, folder string, _ func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
		if name != "registry.fly.io/my-app:v1" || folder != "/srv" {
			return "", engine.NewProblem("no_image", "read the image "+name, nil, "Check the image's name.")
		}
		for name, content := range files {
			f := engine.ImageFile{Name: name, Size: int64(len(content)), Mode: 0o644}
			if strings.HasPrefix(name, "bin/") {
				f.Mode = 0o755
			}
			if err := file(f, strings.NewReader(content)); err != nil {
				return "", err
			}
		}
		for name, to := range links {
			if err := file(engine.ImageFile{Name: name, Link: to}, nil); err != nil {
				return "", err
			}
		}
		return "sha256:00", nil
	}
}

func TestAReleaseInAnImage(t *testing.T) {
	read := imageOf(aRelease(vmFor(thisComputer)), map[string]string{"bin/link": "/srv/bin/my_app", "cacerts": "/etc/ssl/cert.pem"})
	r, err := source{"registry.fly.io/my-app:v1", image}.open(t.Context(), Options{Root: "/srv/", Read: read, Describe: runsAs(Described{})}, t.TempDir(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"bin/my_app": 0o755, "bin/link": 0o755, "releases/1.2.3/my_app.rel": 0o644} {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(r.dir, "bin/link")); err != nil || to != "my_app" {
		t.Errorf("the link leads to %q, %v: it must lead there wherever the folder is", to, err)
	}
	if to, err := os.Readlink(filepath.Join(r.dir, "cacerts")); err != nil || to != "/etc/ssl/cert.pem" {
		t.Errorf("the link out of the release leads to %q, %v", to, err)
	}
	_, err = source{"registry.fly.io/none:v1", image}.open(t.Context(), Options{Root: "/srv", Read: read, Describe: runsAs(Described{})}, t.TempDir(), func(string) {})
	problemOf(t, err, "no_image", "none:v1", "docker cp")
	_, err = source{"registry.fly.io/my-app:v1", image}.open(t.Context(), Options{Root: "/srv", Read: imageOf(nil, nil), Describe: runsAs(Described{})}, t.TempDir(), func(string) {})
	problemOf(t, err, "no_release", "--release-root")
}

// No file of an image, nor a link, makes anything outside of the folder.
func TestAHostileImage(t *testing.T) {
	outside := t.TempDir()
	for name, files := range map[string]map[string]string{"dots": {"../escaped": "x"}, "absolute": {outside + "/escaped": "x"}} {
		t.Run(name, func(t *testing.T) {
			work := filepath.Join(t.TempDir(), "work")
			if err := os.Mkdir(work, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := source{"registry.fly.io/my-app:v1", image}.open(t.Context(), Options{Root: "/srv", Read: imageOf(files, nil), Describe: runsAs(Described{})}, work, func(string) {})
			if err == nil {
				t.Error("it was read without complaint")
			}
			for _, dir := range []string{outside, work, filepath.Dir(work)} {
				if found, _ := filepath.Glob(filepath.Join(dir, "escaped")); len(found) > 0 {
					t.Errorf("there is %q", found)
				}
			}
		})
	}
}

// archiveOf writes what `mix release` makes with the step :tar; top is the folder below which all lies, "" for none.
func archiveOf(t *testing.T, files map[string]string, top string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: top + "lib/link", Linkname: "../bin/my_app"})
	name := filepath.Join(t.TempDir(), "my_app-1.2.3.tar.gz")
	if err = errors.Join(err, w.Close(), z.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAReleaseInAnArchive(t *testing.T) {
	name := archiveOf(t, aRelease(vmFor(thisComputer)), "")
	r, err := source{name, archive}.open(t.Context(), Options{Root: "/app"}, t.TempDir(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(r.dir, "lib/link")); err != nil || to != "../bin/my_app" || r.version != "1.2.3" {
		t.Errorf("%+v, the link leads to %q, %v", r, to, err)
	}
	inside := map[string]string{}
	for name, content := range aRelease(vmFor(thisComputer)) {
		inside["my_app/"+name] = content
	}
	if r, err := (source{archiveOf(t, inside, "my_app/"), archive}).open(t.Context(), Options{Root: "/app"}, t.TempDir(), func(string) {}); err != nil || filepath.Base(r.dir) != "my_app" {
		t.Errorf("packed with its folder: %+v, %v", r, err)
	}
	for _, out := range []string{"../escaped", "lib/../../escaped", "/../escaped"} {
		work := t.TempDir()
		_, err := source{archiveOf(t, map[string]string{out: "x"}, ""), archive}.open(t.Context(), Options{Root: "/app"}, work, func(string) {})
		problemOf(t, err, "no_release", out+" leads out of it")
		if found, _ := filepath.Glob(filepath.Join(work, "*", "*")); len(found) > 0 {
			t.Errorf("%s made %q", out, found)
		}
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for title, content := range map[string][]byte{"cut": whole[:len(whole)/2], "no gzip": []byte("this is no archive at all"), "empty": nil} {
		says := map[string]string{"cut": ": unexpected EOF\n", "no gzip": "gzip: invalid header", "empty": "EOF"}[title]
		does := map[string]string{"cut": "make it again", "no gzip": "mix release", "empty": "mix release"}[title]
		t.Run(title, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "my_app.tar.gz")
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := source{name, archive}.open(t.Context(), Options{Root: "/app"}, t.TempDir(), func(string) {})
			problemOf(t, err, "no_release", "my_app.tar.gz", says, does)
		})
	}
}

// A disk that is full is told as that, whoever has met it: the local registry answers in words.
func TestAFullDisk(t *testing.T) {
	for _, err := range []error{
		notWritten("bin/my_app", &fs.PathError{Op: "write", Path: "bin/my_app", Err: syscall.ENOSPC}),
		errors.New("PUT http://127.0.0.1:1/v2/app/blobs: INTERNAL_SERVER_ERROR: write blobs/upload-1: no space left on device"),
	} {
		problemOf(t, ofDisk(err), "disk_full", "no space is left", "XDG_CACHE_HOME")
		if !errors.Is(ofDisk(err), err) {
			t.Error("its cause is lost")
		}
	}
	if err := errors.New("another"); ofDisk(err) != err || ofDisk(nil) != nil {
		t.Error("another error is told otherwise")
	}
}
