package local

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// An image can be pulled from outside, as from registry.fly.io: by its own name, with the token as password.
func TestPullFromOutside(t *testing.T) {
	f := startProcesses(t)
	release := shellRelease(t)
	pushed, err := f.Push(t.Context(), release, "deployment-01TEST")
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Ref != "registry.fly.io/sample:deployment-01TEST" || pushed.Size == 0 {
		t.Errorf("pushed %+v", pushed)
	}
	ref, err := name.ParseReference(f.registry.service.address() + "/sample:deployment-01TEST")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(ref); err == nil {
		t.Error("pulled without a password")
	}
	image, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "x", Password: f.Token()}))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil || digest.String() != pushed.Digest {
		t.Errorf("digest %s, %v; pushed %s", digest, err, pushed.Digest)
	}
	again, err := f.Push(t.Context(), release, "")
	if err != nil || again.Digest != pushed.Digest {
		t.Errorf("pushed again: %+v, %v; the same release must make the same image", again, err)
	}
}

func TestPushWithoutRelease(t *testing.T) {
	f := startProcesses(t)
	if _, err := f.Push(t.Context(), t.TempDir(), ""); err == nil {
		t.Error("pushed an empty folder")
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
	f := startProcesses(t)
	if response, body := do(t, http.MethodGet, f.RegistryURL()+"/v2/", ""); response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without password: %d %s", response.StatusCode, body)
	}
}
