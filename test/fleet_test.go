package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"flydeploy/examples/counter"
	"flydeploy/examples/counter/countertest"
	"flydeploy/fly/local"
)

// operated is a local Fly in the test's process, with machines on version 1, and the folder of an operator.
type operated struct {
	fly   *local.Fly
	ids   []string
	dir   string
	env   []string
	base  string // version 1, which the machines run
	image string // version 2, pushed
}

func newOperated(t testing.TB, machines int) *operated {
	t.Helper()
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), DiskMB: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	cache, _ := afterADeploy(t)
	o := &operated{fly: f, dir: t.TempDir(), env: []string{"FLY_FLAPS_BASE_URL=" + f.APIURL(), "FLY_API_TOKEN=" + f.Token(), cache}}
	var images [3]string
	for v := 1; v <= 2; v++ {
		image, err := f.Push(t.Context(), countertest.Release(t, v), "")
		if err != nil {
			t.Fatal(err)
		}
		images[v] = image.Ref
	}
	o.base, o.image = images[1], images[2]
	for range machines {
		o.ids = append(o.ids, o.launch(t, local.MachineSpec{Image: images[1]}))
	}
	if err := os.WriteFile(filepath.Join(o.dir, "fly.toml"), []byte("app = \"counter\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a watch finds is tested elsewhere: here it is there.
	if err := os.WriteFile(filepath.Join(o.dir, "flydeploy.toml"), []byte("bake = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// launch starts a machine and waits until its application answers.
func (o *operated) launch(t testing.TB, spec local.MachineSpec) string {
	t.Helper()
	if spec.Env == nil {
		spec.Env = map[string]string{}
	}
	spec.Env["COUNTERS"] = "600"
	spec.Env["RELEASE_MODE"] = "interactive" // boots for half of the CPU
	id, err := o.fly.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	client := counter.NewClient(func(ctx context.Context) (net.Conn, error) { return o.fly.Dial(ctx, id, 8080) })
	if err := client.AwaitHealth(t.Context()); err != nil {
		t.Fatalf("machine %s: %v\n%s", id, err, o.fly.Console(id))
	}
	return id
}

// An operator deploys and looks; an S3 client that is not ours reads what lies in the bucket; consoles are told to end; no secret is
// shown. All of it on one fleet.
func TestHotOnAFleet(t *testing.T) {
	t.Parallel()
	o := newOperated(t, 1)
	env := append(o.env, "GITHUB_ACTOR=ann", "GITHUB_RUN_ID=7", "GITHUB_SERVER_URL=https://ci.example.com", "GITHUB_REPOSITORY=acme/counter")
	said := ""
	do := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := run(t, o.dir, env, args...)
		said += out + errs
		if code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out, errs)
		}
		return out + errs
	}

	deployed := o.seeRecord(t, do)
	out, errs, code := run(t, o.dir, append(o.env, "FLY_API_TOKEN=wrong"), "status")
	if said += out + errs; code != 1 || !strings.Contains(errs, "token validation error") || !strings.Contains(errs, "fly auth login") {
		t.Errorf("a wrong token: exit %d\n%s", code, errs)
	}

	t.Run("told to end", func(t *testing.T) { o.toldToEnd(t, deployed) })
	for name, secret := range map[string]string{
		"token": o.fly.Token(), "access key": o.fly.S3().AccessKeyID, "secret key": o.fly.S3().SecretAccessKey, "signature": "X-Amz-Signature",
	} {
		if strings.Contains(said, secret) {
			t.Errorf("the %s is shown", name)
		}
	}
}

// s3cmd runs Debian's s3cmd on the bucket.
func (o *operated) s3cmd(t testing.TB, args ...string) string {
	t.Helper()
	s := o.fly.S3()
	host := strings.TrimPrefix(s.Endpoint, "http://")
	cmd := exec.Command("s3cmd", append([]string{"--config=/dev/null", "--no-ssl", "--host=" + host, "--host-bucket=" + host,
		"--region=us-east-1", "--access_key=" + s.AccessKeyID, "--secret_key=" + s.SecretAccessKey}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("s3cmd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// readWithS3cmd looks at the bucket through Debian's s3cmd and tar.
func (o *operated) readWithS3cmd(t *testing.T) {
	t.Helper()
	s3cmd := func(args ...string) string { return o.s3cmd(t, args...) }
	bucket := "s3://" + o.fly.S3().Bucket + "/"
	listed := s3cmd("ls", "--recursive", bucket)
	for _, key := range []string{"releases/counter-2.0.0.tar.gz", "releases/counter-current.json", "events.ndjson"} {
		if !strings.Contains(listed, key) {
			t.Errorf("%s is not in the bucket:\n%s", key, listed)
		}
	}
	folder := t.TempDir()
	s3cmd("get", bucket+"releases/counter-2.0.0.tar.gz", filepath.Join(folder, "t.tar.gz"))
	s3cmd("get", bucket+"releases/counter-current.json", filepath.Join(folder, "current.json"))
	names, err := exec.Command("tar", "tzf", filepath.Join(folder, "t.tar.gz")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []string{
		"lib/counter-2.0.0/ebin/Elixir.Counter.Server.beam", "lib/counter-2.0.0/ebin/counter.app",
		"releases/2.0.0/consolidated/Elixir.Counter.Describe.beam", "lib/counter-2.0.0/priv/static/version.txt",
	} {
		if !strings.Contains(string(names), entry+"\n") {
			t.Errorf("%s is not in the tarball", entry)
		}
	}
	current, err := os.ReadFile(filepath.Join(folder, "current.json"))
	for _, field := range []string{`"image_ref"`, `"hot_upgrade"`, `"version"`, `"source_image_ref"`, `"tarball_url"`, `"deployed_at"`, `"sha256"`} {
		if err != nil || !strings.Contains(string(current), field) {
			t.Errorf("current.json has no %s: %s, %v", field, current, err)
		}
	}
}

// BenchmarkPeakMemory measures flydeploy itself during a deploy: the machines and the local Fly are other processes.
func BenchmarkPeakMemory(b *testing.B) {
	o := newOperated(b, 2)
	for b.Loop() {
		cmd := exec.Command(binary(b), "hot", "--yes", "--output", "json", "--skip-build", "--image", o.image)
		cmd.Dir, cmd.Env = o.dir, append(os.Environ(), o.env...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		peak := peakMemory(cmd.Process.Pid)
		if err := cmd.Wait(); err != nil {
			b.Fatalf("%v\n%s", err, &out)
		}
		b.ReportMetric(<-peak, "MB-peak")
	}
}

// peakMemory follows the peak of a process's resident memory, in MB, until it ends. What wait4 tells is no use: a child
// that was begun by vfork counts its parent's memory as its own, and here that is the test's.
func peakMemory(pid int) <-chan float64 {
	peak := make(chan float64, 1)
	go func() {
		var mb float64
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, after, found := strings.Cut(string(status), "VmHWM:")
			if !found { // ended: a zombie has no memory
				peak <- mb
				return
			}
			kb, _ := strconv.ParseFloat(strings.Fields(after)[0], 64)
			mb = kb / 1024
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return peak
}
