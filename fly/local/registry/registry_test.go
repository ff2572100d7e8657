package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flydeploy/fly/local/fault"
)

const password = "fo1_password"

// serve serves a registry until the test ends.
func serve(t *testing.T) *Registry {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	r, err := New(filepath.Join(t.TempDir(), "registry"), server.Listener.Addr().String(), password)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = r.Handler(&fault.Faults{})
	server.Start()
	t.Cleanup(server.Close)
	return r
}

// releaseIn has nothing in it but what makes a folder a release.
func releaseIn(t *testing.T, dir string) Release {
	t.Helper()
	for path, content := range map[string]string{"bin/shell": "#!/bin/sh\n", "releases/1/shell.rel": ""} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Release{Dir: dir, Root: "/app", Owner: os.Getuid()}
}

// An image can be pulled from outside, as from registry.fly.io: by its own name, with the token as password.
func TestPullFromOutside(t *testing.T) {
	r := serve(t)
	release := releaseIn(t, t.TempDir())
	const tagged = Host + "/sample:deployment-01TEST"
	pushed, err := r.Push(t.Context(), release, tagged)
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Ref != tagged || pushed.Size == 0 {
		t.Errorf("pushed %+v", pushed)
	}
	ref, err := name.ParseReference(r.address + "/sample:deployment-01TEST")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(ref); err == nil {
		t.Error("pulled without a password")
	}
	image, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "x", Password: password}))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil || digest.String() != pushed.Digest {
		t.Errorf("digest %s, %v; pushed %s", digest, err, pushed.Digest)
	}
	again, err := r.Push(t.Context(), release, Host+"/sample:again")
	if err != nil || again.Digest != pushed.Digest {
		t.Errorf("pushed again: %+v, %v; the same release must make the same image", again, err)
	}
}

func TestPushWithoutRelease(t *testing.T) {
	if _, err := serve(t).Push(t.Context(), Release{Dir: t.TempDir(), Root: "/app"}, Host+"/sample:a"); err == nil {
		t.Error("pushed an empty folder")
	}
}

// What is pulled is what was pushed; all pulls of an image share its unpacked files.
func TestPullAndUnpack(t *testing.T) {
	r := serve(t)
	pushed, err := r.Push(t.Context(), releaseIn(t, t.TempDir()), Host+"/sample:a")
	if err != nil {
		t.Fatal(err)
	}
	images := NewImages(r, t.TempDir())
	var folders []string
	for _, ref := range []string{pushed.Ref, pushed.Ref + "@" + pushed.Digest} {
		image, err := images.Pull(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := image.Ref(); got.Digest != pushed.Digest || got.Repository != "sample" || got.Tag != "a" {
			t.Errorf("%s is %+v", ref, got)
		}
		folder, err := image.Unpack()
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
		if _, err := os.Stat(filepath.Join(folder, image.Config().Cmd[0])); err != nil {
			t.Errorf("the image's command: %v", err)
		}
	}
	if folders[0] != folders[1] {
		t.Errorf("one image is unpacked to %q", folders)
	}
	const unknown = Host + "/sample:none"
	if _, err := images.Pull(t.Context(), unknown); err == nil || err.Error() != "failed to get manifest "+unknown+": MANIFEST_UNKNOWN: manifest unknown" {
		t.Errorf("pull of an unknown image: %v", err)
	}
}

func TestUnpack(t *testing.T) {
	folder := t.TempDir()
	layer := layerOf(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "app", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/run", Mode: 0o755, Size: 4},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "app/link", Linkname: "run"},
		tar.Header{Typeflag: tar.TypeReg, Name: "/app/old", Mode: 0o600, Size: 4},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/.wh.old"},
	)
	if err := unpackLayer(layer, folder); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, "app", "link"))
	if err != nil || string(content) != "xxxx" {
		t.Errorf("app/link: %q, %v", content, err)
	}
	if info, err := os.Stat(filepath.Join(folder, "app", "run")); err != nil || info.Mode() != 0o755 {
		t.Errorf("app/run: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "app", "old")); !os.IsNotExist(err) {
		t.Errorf("app/old was removed by the layer: %v", err)
	}
}

// A hostile image writes nothing outside of its folder.
func TestUnpackStaysInside(t *testing.T) {
	outside := t.TempDir()
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 4}
	}
	for title, entries := range map[string][]tar.Header{
		"dots":                {file("../../escaped")},
		"dots inside":         {file("app/../../escaped")},
		"absolute link":       {{Typeflag: tar.TypeSymlink, Name: "app", Linkname: outside}, file("app/escaped")},
		"relative link":       {{Typeflag: tar.TypeSymlink, Name: "app", Linkname: "../../../../../../../../" + outside}, file("app/escaped")},
		"hard link outside":   {{Typeflag: tar.TypeLink, Name: "app", Linkname: "../../../../../../../../etc/passwd"}},
		"device":              {{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}},
		"whiteout of outside": {{Typeflag: tar.TypeReg, Name: "../.wh.mark"}},
	} {
		t.Run(title, func(t *testing.T) {
			parent := t.TempDir()
			if err := os.WriteFile(filepath.Join(parent, "mark"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join(parent, "image")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unpackLayer(layerOf(t, entries...), folder); err == nil {
				t.Error("unpacked without complaint")
			}
			escaped, err := filepath.Glob(filepath.Join(outside, "*"))
			if err != nil || len(escaped) > 0 {
				t.Errorf("outside are now %q, %v", escaped, err)
			}
			if left, err := os.ReadDir(parent); err != nil || len(left) != 2 {
				t.Errorf("beside the folder are now %v, %v", left, err)
			}
		})
	}
}

// layerOf makes a layer whose files all hold x's.
func layerOf(t *testing.T, entries ...tar.Header) v1.Layer {
	t.Helper()
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	archive := tar.NewWriter(compressed)
	for _, entry := range entries {
		entry.Uid, entry.Gid = os.Getuid(), os.Getgid()
		if err := archive.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(bytes.Repeat([]byte("x"), int(entry.Size))); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []io.Closer{archive, compressed} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return uncompressing{static.NewLayer(packed.Bytes(), types.DockerLayer)}
}

// uncompressing gives static layers, which are opaque, the content that they stand for.
type uncompressing struct{ v1.Layer }

func (u uncompressing) Uncompressed() (io.ReadCloser, error) {
	compressed, err := u.Compressed()
	if err != nil {
		return nil, err
	}
	return gzip.NewReader(compressed)
}

func TestRegistryWithoutToken(t *testing.T) {
	response, err := http.Get("http://" + serve(t).address + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without password: %s", response.Status)
	}
}
