package engine_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// upgraded gives a world of one machine that runs version 2 on version 1's image.
func upgraded(t *testing.T) (w *world, id string) {
	t.Helper()
	w = newWorld(t, 1)
	if _, r := w.deploy(settings(), 2); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	return w, w.ids[0]
}

// expectImagesOwnCode restarts a machine that cannot have its upgrade: in time it runs the image's code, whole, and
// says why in one line without a secret.
func (w *world) expectImagesOwnCode(id, why string) {
	w.t.Helper()
	known := len(w.local.Console(id))
	if took := w.restart(id); took > bootsWithin {
		w.t.Errorf("the application answered after %s", took)
	}
	s := w.expectVersion(id, "1.0.0")
	if s.Versions.FlyDeploy.Version != "" {
		w.t.Errorf("it says that it runs %+v", s.Versions.FlyDeploy)
	}
	log := w.local.Console(id)[known:]
	if strings.Count(log, "FlyDeploy could not reapply") != 1 || !strings.Contains(log, why) {
		w.t.Errorf("want one line with %q in the log:\n%s", why, log)
	}
	info := w.local.S3()
	for _, secret := range []string{info.SecretAccessKey, info.AccessKeyID, "Signature="} {
		if strings.Contains(log, secret) {
			w.t.Errorf("a secret in the log:\n%s", log)
		}
	}
	left := []string{"find", "/app", "/tmp", "-name", ".flydeploy-*", "-o", "-name", "fly_deploy-????????????????"}
	out, err := w.fleet.Exec(w.t.Context(), id, left, 10*time.Second)
	if err != nil || out.ExitCode != 0 || strings.TrimSpace(out.Stdout) != "" {
		w.t.Errorf("files were left: %+v, %v", out, err)
	}
}

func TestTheApplicationBootsWhateverTheStorageDoes(t *testing.T) {
	t.Parallel() // mostly waits
	w, id := upgraded(t)
	const document, tarball = "releases/counter-current.json", "releases/counter-2.0.0.tar.gz"
	faults := []struct {
		name, key string
		effect    local.Effect
		why       string
	}{
		{"down", "", local.Cut(), "the connection"},
		{"forbidden", "", local.Refuse(http.StatusForbidden, "<Error/>"), "answered 403"},
		{"mute", document, local.Delay(time.Minute), "given up while reading current.json"},
		{"garbage", document, local.Alter(func([]byte) []byte { return []byte("<html>maintenance</html>") }), "current.json is damaged"},
		{"slow", tarball, local.Trickle(1000, 100*time.Millisecond), "given up while downloading the tarball"},
		{"altered", tarball, local.Alter(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), "sha256 is not the recorded one"},
		{"truncated", tarball, local.Alter(func(b []byte) []byte { return b[:len(b)-1] }), "bytes instead of"},
		{"broken in the middle", tarball, local.CutAfter(100_000), "bytes early"},
		{"without the tarball", tarball, local.Refuse(http.StatusNotFound, "<Error/>"), "not in the bucket"},
	}
	for _, f := range faults {
		lift := w.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: f.key}, 0, f.effect)
		t.Log("storage: " + f.name)
		w.expectImagesOwnCode(id, f.why)
		lift()
	}

	// What passes within moments is no reason to run old code.
	for _, key := range []string{document, tarball} {
		w.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: key}, 1, local.Refuse(http.StatusServiceUnavailable, ""))
		w.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: key}, 1, local.Cut())
	}
	w.restart(id)
	w.expectVersion(id, "2.0.0")
}

func TestWhatMustNotBeLoadedIsRefusedAtBoot(t *testing.T) {
	t.Parallel() // mostly waits
	w, id := upgraded(t)
	good := w.publishedTarball()
	rename := func(from, to string) func(*tar.Header, []byte) []byte {
		return func(h *tar.Header, content []byte) []byte {
			h.Name = strings.Replace(h.Name, from, to, 1)
			return content
		}
	}
	server := "lib/counter-2.0.0/ebin/Elixir.Counter.Server.beam"
	for _, bad := range []struct {
		name   string
		change func(*tar.Header, []byte) []byte
		why    string
	}{
		{"another OTP", rename("lib/stdlib-", "lib/stdlib-99."), "the upgrade was built with 99."},
		{"another Elixir", rename("lib/elixir-", "lib/elixir-99."), "the upgrade was built with 99."},
		{"an entry above the folder", rename(server, "../../"+server), "would write outside of its folder"},
		{"an absolute entry", rename(server, "/tmp/fly_deploy-outside.beam"), "would write outside of its folder"},
		{"a link", func(h *tar.Header, content []byte) []byte {
			if h.Name != server {
				return content
			}
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0
			return nil
		}, "the tarball contains a symlink"},
		{"a module that is none", func(h *tar.Header, content []byte) []byte {
			if h.Name == server {
				content = bytes.Repeat([]byte("no module "), len(content)/10)
			}
			return content
		}, "Counter.Server cannot be loaded"},
	} {
		t.Log(bad.name)
		w.publish(rewrite(t, good, bad.change), bad.name)
		w.expectImagesOwnCode(id, bad.why)
	}

	w.publish(good, "good")
	w.restart(id)
	w.expectVersion(id, "2.0.0")

	// A machine that cannot write its own files keeps all of them, and runs what they hold.
	id, err := w.local.Launch(t.Context(), local.MachineSpec{
		Image: w.imageOf(id), Env: map[string]string{"COUNTERS": fmt.Sprint(counters)},
		Command: []string{"/bin/sh", "-c", `chmod -R a-w "$0"/lib; exec "$0"/bin/counter start`, "/app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.expectImagesOwnCode(id, "cannot be replaced: permission denied")
}

func (w *world) publishedTarball() []byte {
	w.t.Helper()
	md, _, err := w.bucket().Metadata(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	url, err := w.bucket().PresignGet(w.t.Context(), "releases/counter-"+md.HotUpgrade.Version+".tar.gz", time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.Get(url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// publish puts a tarball into the bucket and into current.json, as a deploy does.
func (w *world) publish(tarball []byte, name string) {
	w.t.Helper()
	b, ctx := w.bucket(), w.t.Context()
	digest := sha256.Sum256(tarball)
	sha, size := hex.EncodeToString(digest[:]), int64(len(tarball))
	key := "releases/counter-" + strings.ReplaceAll(name, " ", "_") + ".tar.gz"
	url, headers, err := b.PresignPut(ctx, key, size, sha, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(tarball))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("upload of %s: %s", key, answer.Status)
	}
	md, etag, err := b.Metadata(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	md.HotUpgrade.TarballURL, md.HotUpgrade.SHA256, md.HotUpgrade.Size = b.URL(key), sha, size
	if err := b.WriteMetadata(ctx, md, etag); err != nil {
		w.t.Fatal(err)
	}
}

// rewrite changes a gzipped tar entry by entry; change may write to the header and gives the new content.
func rewrite(t *testing.T, tarball []byte, change func(*tar.Header, []byte) []byte) []byte {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	to := tar.NewWriter(zipped)
	for from := tar.NewReader(unzipped); ; {
		header, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		content = change(header, content)
		header.Size = int64(len(content))
		if err := to.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
