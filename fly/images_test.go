package fly

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flydeploy/engine"
)

// layerEntry is one of a layer's: a folder where the name ends with a slash, a link where it has a target.
type layerEntry struct{ name, text, link, hard string }

func layerOf(t *testing.T, entries ...layerEntry) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.text)), Mode: 0o644}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.hard
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(b.Bytes(), types.DockerLayer)
}

// pushLayers pushes an image for an architecture, and gives its reference and digest.
func pushLayers(t *testing.T, host, architecture string, layers ...v1.Layer) (ref string, image v1.Image) {
	t.Helper()
	ref = host + "/shop:1"
	image, err := mutate.AppendLayers(withoutLayers(t, architecture), layers...)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref)
	if err == nil {
		err = remote.Write(tag, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref, image
}

func withoutLayers(t *testing.T, architecture string) v1.Image {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// readAll gives what is below a folder of an image: texts, and links as "→ target".
func readAll(t *testing.T, ref, folder string) (map[string]string, string, error) {
	t.Helper()
	files := map[string]string{}
	digest, err := Images{}.Read(t.Context(), ref, folder, nil, func(f engine.ImageFile, content io.Reader) error {
		if f.Link != "" {
			files[f.Name] = "→ " + f.Link
			return nil
		}
		if f.Mode != 0o644 { // as layerOf has it
			t.Errorf("%s has permissions %v", f.Name, f.Mode)
		}
		text, err := io.ReadAll(content)
		files[f.Name] = string(text)
		return err
	})
	return files, digest, err
}

// An image's files are those that a machine with it has: upper layers replace and remove what is below.
func TestAnImageIsReadAsAMachineHasIt(t *testing.T) {
	ref, image := pushLayers(t, serveRegistry(t, "", ""), "amd64",
		layerOf(t,
			layerEntry{name: "etc/passwd", text: "root"}, layerEntry{name: "application/x", text: "no"}, layerEntry{name: "app/"},
			layerEntry{name: "app/old", text: "old"}, layerEntry{name: "app/kept", text: "kept"}, layerEntry{name: "./app/lib/a-1/ebin/a.app", text: "one"},
			layerEntry{name: "app/lib/b-1/ebin/b.app", text: "gone"}, layerEntry{name: "app/priv/1", text: "gone"}, layerEntry{name: "app/was_file", text: "gone"},
			layerEntry{name: "app/was_dir/x", text: "gone"},
		),
		layerOf(t,
			layerEntry{name: "/app/lib/a-1/ebin/a.app", text: "two"}, layerEntry{name: "app/lib/.wh.b-1"}, layerEntry{name: "app/priv/2", text: "new"},
			layerEntry{name: "app/priv/.wh..wh..opq"}, layerEntry{name: "app/was_file/"}, layerEntry{name: "app/was_file/now", text: "below"}, layerEntry{name: "app/was_dir", text: "a file"},
			layerEntry{name: "app/hard", hard: "app/priv/2"}, layerEntry{name: "app/bin/soft", link: "../lib/a-1"}, layerEntry{name: "app/out", link: "/etc/passwd"},
			layerEntry{name: "app/../../app/up", text: "up"},
		),
		layerOf(t, layerEntry{name: "app/.wh.old"}, layerEntry{name: "app/lib/b-1/ebin/b.app", text: "again"}),
	)
	want := map[string]string{
		"kept": "kept", "lib/a-1/ebin/a.app": "two", "lib/b-1/ebin/b.app": "again", "priv/2": "new", "was_file/now": "below", "was_dir": "a file",
		"hard": "→ /app/priv/2", "bin/soft": "→ /app/lib/a-1", "out": "→ /etc/passwd", "up": "up",
	}
	got, digest, err := readAll(t, ref, "/app")
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v\n%v\n%v", got, want, err)
	}
	if pushed, _ := image.Digest(); digest != pushed.String() {
		t.Errorf("digest %s, pushed %s", digest, pushed)
	}
	if byDigest, _, err := readAll(t, ref+"@"+digest, "/app/"); err != nil || !maps.Equal(byDigest, want) {
		t.Errorf("by its digest: %v %v", byDigest, err)
	}
	if none, _, err := readAll(t, ref, "/srv"); err != nil || len(none) > 0 {
		t.Errorf("below a folder that is not there: %v %v", none, err)
	}
}

// Of an image for several platforms the machines' one is read.
func TestTheMachinesPlatformIsRead(t *testing.T) {
	host := serveRegistry(t, "", "")
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"arm64", "amd64"} {
		image, err := mutate.AppendLayers(withoutLayers(t, architecture), layerOf(t, layerEntry{name: "app/for", text: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	write := func(ref string, index v1.ImageIndex) {
		tag, err := name.ParseReference(ref)
		if err == nil {
			err = remote.WriteIndex(tag, index)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(host+"/shop:both", index)
	files, digest, err := readAll(t, host+"/shop:both", "/app")
	if of, _ := index.Digest(); err != nil || files["for"] != "amd64" || digest != of.String() {
		t.Errorf("%v %s %v", files, digest, err)
	}
	arm := mutate.RemoveManifests(index, func(d v1.Descriptor) bool { return d.Platform.Architecture == "amd64" })
	write(host+"/shop:arm", arm)
	ref, _ := pushLayers(t, host, "arm64", layerOf(t))
	for _, ref := range []string{host + "/shop:arm", ref} {
		if _, _, err := readAll(t, ref, "/app"); engine.AsProblem(err).Name != "wrong_platform" || !strings.Contains(err.Error(), "linux/amd64") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestImagesThatCannotBeRead(t *testing.T) {
	dockerLogins(t, nil)
	open, private := serveRegistry(t, "", ""), serveRegistry(t, "me", "secret")
	pushRandom(t, private+"/shop:1", &authn.Basic{Username: "me", Password: "secret"})
	dangling, _ := pushLayers(t, open, "amd64", layerOf(t, layerEntry{name: "app/a", text: "old"}), layerOf(t, layerEntry{name: "app/b", hard: "etc/b"}))
	for ref, want := range map[string]string{
		open + "/shop:none":  "no_image",
		open + "/Shop":       "broken_config",
		private + "/shop:1":  "private_image",
		dangling:             "unreadable_image",
		"127.0.0.1:1/shop:1": "registry_failed",
	} {
		_, _, err := readAll(t, ref, "/app")
		if p := engine.AsProblem(err); p == nil || p.Name != want || p.Remedy == "" {
			t.Errorf("%s: %v, want %s", ref, err, want)
		}
	}
	dockerLogins(t, map[string]string{private: "me:secret"})
	if _, _, err := readAll(t, private+"/shop:1", "/app"); err != nil {
		t.Errorf("with a login: %v", err)
	}
}

// cutting sends layers that are not what was pushed.
type cutting struct {
	cut func(body []byte) []byte
}

func (c cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		body = c.cut(body)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}

func TestDamagedLayersAreRefused(t *testing.T) {
	ref, _ := pushLayers(t, serveRegistry(t, "", ""), "amd64", layerOf(t, layerEntry{name: "app/a", text: strings.Repeat("text", 1000)}))
	for what, cut := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"changed": func(b []byte) []byte { b = slices.Clone(b); b[len(b)/2] ^= 1; return b },
	} {
		_, err := Images{Transport: cutting{cut}}.Read(t.Context(), ref, "/app", nil, func(_ engine.ImageFile, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			return err
		})
		if p := engine.AsProblem(err); p == nil || p.Name != "registry_failed" || !strings.Contains(p.What, "damaged") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What the reader of files says is told as it is, and ends the reading.
func TestReadingEndsWithItsReader(t *testing.T) {
	ref, _ := pushLayers(t, serveRegistry(t, "", ""), "amd64", layerOf(t, layerEntry{name: "app/a"}, layerEntry{name: "app/b"}))
	calls := 0
	full := engine.NewProblem("disk_full", "no space is left", nil, "Make room.")
	_, err := Images{}.Read(t.Context(), ref, "/app", nil, func(engine.ImageFile, io.Reader) error { calls++; return full })
	if calls != 1 || engine.AsProblem(err) != full {
		t.Errorf("%d calls: %v", calls, err)
	}
	var layers []string
	if _, err := (Images{}).Read(t.Context(), ref, "/app", func(done, total int64) { layers = append(layers, fmt.Sprint(done, "/", total)) },
		func(engine.ImageFile, io.Reader) error { return nil }); err != nil || !slices.Equal(layers, []string{"1/1"}) {
		t.Errorf("layers %v: %v", layers, err)
	}
}

// How an image runs is told as it says.
func TestHowAnImageRuns(t *testing.T) {
	host := serveRegistry(t, "", "")
	config := v1.Config{
		Env: []string{"PATH=/usr/bin", "MIX_ENV=prod"}, Entrypoint: []string{"/usr/bin/tini", "--"}, Cmd: []string{"/app/bin/server"}, WorkingDir: "/app",
	}
	image, err := mutate.Config(withoutLayers(t, "amd64"), config)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(host + "/shop:1")
	if err == nil {
		err = remote.Write(tag, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := Images{}.Config(t.Context(), host+"/shop:1")
	want := ImageConfig{Env: config.Env, Command: []string{"/usr/bin/tini", "--", "/app/bin/server"}, WorkDir: "/app"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = Images{}.Config(t.Context(), host+"/none:1")
	if p := engine.AsProblem(err); p == nil || p.Name != "no_image" {
		t.Errorf("%v", err)
	}
}
