package deploy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flydeploy/examples/counter/countertest"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

// bootsWithin is how long the application may take to answer whatever storage and disk do, on a computer of the usual
// speed: at most ten seconds of it are the hook's.
const bootsWithin = 15 * time.Second

// upgraded is a world whose first machine runs version 2 on version 1's image.
type upgraded struct {
	*world
	id    string
	image string
	// within is bootsWithin, or longer where even a boot without a fault takes long.
	within time.Duration
}

// in is the same world for a subtest.
func (u *upgraded) in(t *testing.T) *upgraded {
	inner, w := *u, *u.world
	inner.world, w.t = &w, t
	return &inner
}

// The parts leave the machine upgraded, except for the last one.
func TestTheApplicationBootsWhateverHappens(t *testing.T) {
	t.Parallel() // mostly waits
	u := newUpgraded(t)
	t.Run("to the storage", func(t *testing.T) { u.in(t).meetsFaultsOfTheStorage() })
	t.Run("to its disk", func(t *testing.T) { u.in(t).meetsFaultsOfItsDisk() })
	t.Run("to the tarball", func(t *testing.T) { u.in(t).refusesWhatMustNotBeLoaded() })
	t.Run("at a boot that crashes", func(t *testing.T) { u.in(t).isNotLoadedForEver() })
}

func newUpgraded(t *testing.T) *upgraded {
	t.Helper()
	env := embedded
	if !full {
		env = nil // so did TestAnUpgradeSurvivesRestartsUntilAColdDeploy
	}
	w := newWorldWith(t, local.Options{}, env, 1)
	if _, r := w.deploy(settings(), 2); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	u := &upgraded{world: w, id: w.ids[0], image: w.imageOf(w.ids[0])}
	u.within = max(bootsWithin, 10*time.Second+4*w.restart(u.id))
	w.expectVersion(u.id, "2.0.0")
	return u
}

// expectImagesOwnCode restarts the machine, which cannot have its upgrade.
func (u *upgraded) expectImagesOwnCode(why string) {
	u.t.Helper()
	known := len(u.local.Console(u.id))
	u.expectRefused(u.id, u.restart(u.id), known, why)
}

// expectRefused looks at a machine that has booted without its upgrade: in time, with the image's code, whole, and it
// says why in one line without a secret. known is how much of its log is older.
func (u *upgraded) expectRefused(id string, took time.Duration, known int, why string) {
	u.t.Helper()
	if took > u.within {
		u.t.Errorf("the application answered after %s", took)
	}
	s := u.expectVersion(id, "1.0.0")
	if s.Versions.FlyDeploy.Version != "" {
		u.t.Errorf("it says that it runs %+v", s.Versions.FlyDeploy)
	}
	// The VM hands its log on by itself, and may do so after its application answers.
	log := u.local.Console(id)[known:]
	for until := time.Now().Add(time.Minute); !strings.Contains(log, why) && time.Now().Before(until); log = u.local.Console(id)[known:] {
		time.Sleep(50 * time.Millisecond)
	}
	if strings.Count(log, "FlyDeploy could not reapply") != 1 || !strings.Contains(log, why) {
		u.t.Errorf("want one line with %q in the log:\n%s", why, log)
	}
	info := u.local.S3()
	for _, secret := range []string{info.SecretAccessKey, info.AccessKeyID, "Signature="} {
		if strings.Contains(log, secret) {
			u.t.Errorf("a secret in the log:\n%s", log)
		}
	}
	u.expectImagesOwnFiles(id)
}

// expectImagesOwnFiles compares the machine's disk with the release that its image was made of.
func (u *upgraded) expectImagesOwnFiles(id string) {
	u.t.Helper()
	const sums = `cd "$0" && find . -type f -exec md5sum {} + | sort | md5sum`
	want, err := exec.CommandContext(u.t.Context(), "/bin/sh", "-c", sums, countertest.Release(u.t, 1)).Output()
	if err != nil {
		u.t.Fatal(err)
	}
	got, err := u.fleet.Exec(u.t.Context(), id, []string{"/bin/sh", "-c", sums, "/app"}, "", 10*time.Second)
	if err != nil || got.Stdout != string(want) {
		u.t.Errorf("the release's files are not the image's: %+v, %v", got, err)
	}
	left := []string{"find", "/tmp", "-name", "fly_deploy-????????????????"}
	out, err := u.fleet.Exec(u.t.Context(), id, left, "", 10*time.Second)
	if err != nil || out.ExitCode != 0 || strings.TrimSpace(out.Stdout) != "" {
		u.t.Errorf("files were left: %+v, %v", out, err)
	}
}

// More answers of the storage, and of archives, are in elixir/test: http_test.exs and archive_test.exs.
func (u *upgraded) meetsFaultsOfTheStorage() {
	const document, tarball = "releases/counter-current.json", "releases/counter-2.0.0.tar.gz"
	faults := []struct {
		name, key string
		effect    local.Effect
		why       string
		long      bool // left to `make soak`
	}{
		{"down", "", local.Cut(), "the connection", true},
		{"mute", document, local.Delay(time.Minute), "given up while reading current.json", true},
		{"garbage", document, local.Alter(func([]byte) []byte { return []byte("<html>maintenance</html>") }), "current.json is damaged", true},
		{"slow", tarball, local.Trickle(1000, 100*time.Millisecond), "given up while downloading the tarball", false},
		{"altered", tarball, local.Alter(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), "sha256 is not the recorded one", false},
		{"truncated", tarball, local.Alter(func(b []byte) []byte { return b[:len(b)-1] }), "bytes instead of", true},
		{"without the tarball", tarball, local.Refuse(http.StatusNotFound, "<Error/>"), "not in the bucket", true},
	}
	for _, f := range faults {
		if f.long && !full {
			continue
		}
		lift := u.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: f.key}, 0, f.effect)
		u.t.Log(f.name)
		u.expectImagesOwnCode(f.why)
		lift()
	}

	// What passes within moments is no reason to run old code.
	for _, key := range []string{document, tarball} {
		u.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: key}, 1, local.Refuse(http.StatusServiceUnavailable, ""))
		u.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: key}, 1, local.Cut())
	}
	u.restart(u.id)
	u.expectVersion(u.id, "2.0.0")
}

func (u *upgraded) refusesWhatMustNotBeLoaded() {
	good := u.publishedTarball()
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
		long   bool // left to `make soak`
	}{
		{"another OTP", rename("lib/stdlib-", "lib/stdlib-99."), "the upgrade was built with 99.", true},
		{"another Elixir", rename("lib/elixir-", "lib/elixir-99."), "the upgrade was built with 99.", true},
		{"a link", func(h *tar.Header, content []byte) []byte {
			if h.Name != server {
				return content
			}
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0
			return nil
		}, "the tarball contains a symlink", true},
		{"a module that is none", func(h *tar.Header, content []byte) []byte {
			if h.Name == server {
				content = bytes.Repeat([]byte("no module "), len(content)/10)
			}
			return content
		}, "Counter.Server cannot be loaded", false},
	} {
		if bad.long && !full {
			continue
		}
		u.t.Log(bad.name)
		u.publish(rewrite(u.t, good, bad.change), bad.name)
		u.expectImagesOwnCode(bad.why)
	}

	u.publish(good, "good")
	u.forgetBoots(u.id) // within the last minute there were two with these bytes
	u.restart(u.id)
	u.expectVersion(u.id, "2.0.0")
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
	if err := b.Put(ctx, key, bytes.NewReader(tarball), sha, nil); err != nil {
		w.t.Fatal(err)
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
func rewrite(t testing.TB, tarball []byte, change func(*tar.Header, []byte) []byte) []byte {
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
