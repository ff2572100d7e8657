package fly_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// onLocalFly runs a test against a real Machines API and machines, in each way of running them that works here.
func onLocalFly(t *testing.T, test func(t *testing.T, f *local.Fly, c *fly.Client)) {
	t.Helper()
	isolations := []local.Isolation{local.Processes}
	if os.Getuid() == 0 {
		isolations = append(isolations, local.Namespaces)
	}
	for _, isolation := range isolations {
		t.Run(string(isolation), func(t *testing.T) {
			f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: isolation})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, f, localClient(t, f, f.Token()))
		})
	}
}

func localClient(t *testing.T, f *local.Fly, token string) *fly.Client {
	t.Helper()
	c, err := fly.New(fly.Options{App: "counter", Token: token, BaseURL: f.APIURL(), PlatformURL: f.APIURL(), UserAgent: "flydeploy/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushRelease pushes what has the form of a release; its entrypoint is a sleep.
func pushRelease(t *testing.T, f *local.Fly, tag string) string {
	t.Helper()
	return pushVersion(t, f, tag, "1.0.0")
}

// pushOther pushes another release than pushRelease does.
func pushOther(t *testing.T, f *local.Fly, tag string) string {
	t.Helper()
	return pushVersion(t, f, tag, "2.0.0")
}

func pushVersion(t *testing.T, f *local.Fly, tag, version string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"releases/" + version + "/counter.rel": "",
		"bin/counter":                          "#!/bin/sh\nexec sleep 600\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image, err := f.Push(t.Context(), dir, tag)
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref
}

func TestFleetOnTheLocalFly(t *testing.T) {
	onLocalFly(t, func(t *testing.T, f *local.Fly, c *fly.Client) {
		image := pushRelease(t, f, "deployment-1")
		id, err := f.Launch(t.Context(), local.MachineSpec{Image: image, Region: "fra", NoService: true})
		if err != nil {
			t.Fatal(err)
		}
		machines, err := c.Machines(t.Context())
		if err != nil || len(machines) != 1 {
			t.Fatalf("%+v, %v", machines, err)
		}
		m := machines[0]
		if m.ID != id || m.Image != image || m.Region != "fra" || m.State != "started" || m.ProcessGroup != "app" ||
			m.InstanceID == "" || !strings.HasPrefix(m.Digest, "sha256:") || m.LeftOut != "" || m.Temporary != "" {
			t.Errorf("listed as %+v", m)
		}
		out, err := c.Exec(t.Context(), id, []string{"/bin/sh", "-c", `echo "$1"; echo $FLY_REGION >&2; exit 3`, "fd", "a  && b"}, "", 5*time.Second)
		if want := (engine.Output{Stdout: "a  && b\n", Stderr: "fra\n", ExitCode: 3}); err != nil || out != want {
			t.Errorf("exec: %+v, %v", out, err)
		}
		_, err = c.Exec(t.Context(), id, []string{"/bin/echo", strings.Repeat("x", 17_000)}, "", 5*time.Second)
		if !errors.Is(err, fly.ErrTooLarge) {
			t.Errorf("17 KB: %v", err)
		}
		_, err = c.Exec(t.Context(), id, []string{"/bin/true"}, "", 61*time.Second)
		wantProblem(t, err, "api_refused")
		_, err = c.Exec(t.Context(), "0000000000", []string{"/bin/true"}, "", time.Second)
		wantProblem(t, err, "machine_gone")
		if err := c.Destroy(t.Context(), id); err == nil || !strings.Contains(err.Error(), "not a temporary machine") {
			t.Errorf("destroying the app's machine: %v", err)
		}
	})
}

func TestTemporaryMachineOnTheLocalFly(t *testing.T) {
	onLocalFly(t, func(t *testing.T, f *local.Fly, c *fly.Client) {
		image := pushRelease(t, f, "deployment-2")
		f.Faults().Inject(local.Target{Service: local.Registry, Action: "manifests"}, 1, local.ImageNotThereYet())
		// The fault that comes first meets the launch that fails for the image, and only the next one loses its answer.
		f.Faults().Inject(local.Target{Service: local.API, Action: local.ActionCreate}, 1, local.Around(nil, func() {
			f.Faults().Inject(local.Target{Service: local.API, Action: local.ActionCreate}, 1, local.Forget(502, "<html>Bad Gateway"))
		}))
		catchUp := f.LagLists(1500 * time.Millisecond) // the machine without an answer is looked for in lists
		m, err := c.CreateTemporary(t.Context(), engine.TemporaryMachine{
			UpgradeID: "01UPGRADE", Image: image, LiveFor: time.Minute,
			Temporary: engine.Temporary{Regions: []string{"nrt"}, Env: map[string]string{"CUSTOM": "value"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if m.State != "started" || m.Image != image || m.Region != "nrt" || m.Temporary != "01UPGRADE" {
			t.Errorf("created %+v", m)
		}
		catchUp()
		out, err := c.Exec(t.Context(), m.ID, []string{"/bin/sh", "-c", `echo "$CUSTOM $BUCKET_NAME"; ls $(dirname $0)`, "/app/bin/counter"}, "", 5*time.Second)
		if err != nil || !strings.HasPrefix(out.Stdout, "value counter-releases\n") {
			t.Errorf("its environment and disk: %+v, %v", out, err)
		}
		machines, err := c.Machines(t.Context())
		if err != nil || len(machines) != 1 || machines[0].Temporary != "01UPGRADE" {
			t.Errorf("listed as %+v, %v", machines, err)
		}
		for range 2 {
			if err := c.Destroy(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
		}
		if machines, err = c.Machines(t.Context()); err != nil || len(machines) != 0 {
			t.Errorf("left %+v, %v", machines, err)
		}
	})
}

func TestTokensOfDifferentPowerOnTheLocalFly(t *testing.T) {
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	weak := localClient(t, f, f.ExecToken())
	if _, err := weak.Machines(t.Context()); err != nil {
		t.Errorf("a machine-exec token cannot list: %v", err)
	}
	_, err = weak.CreateTemporary(t.Context(), spec)
	wantProblem(t, err, "token_too_weak")
	_, err = localClient(t, f, testToken).Machines(t.Context())
	wantProblem(t, err, "token_refused")
	if !strings.Contains(err.Error(), "Authenticate: token validation error") {
		t.Errorf("the API's own words are missing: %v", err)
	}
}

func TestFaultsOfTheLocalFly(t *testing.T) {
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	c := localClient(t, f, f.Token())
	id, err := f.Launch(t.Context(), local.MachineSpec{Image: pushRelease(t, f, "deployment-1"), NoService: true})
	if err != nil {
		t.Fatal(err)
	}
	execs := local.Target{Service: local.API, Action: local.ActionExec, Subject: id}
	for name, effect := range map[string]local.Effect{
		"408 after the work": local.Forget(http.StatusRequestTimeout, `{"error":"deadline_exceeded"}`),
		"cut after the work": local.CutAfter(5),
	} {
		f.Faults().Inject(execs, 1, effect)
		_, err := c.Exec(t.Context(), id, []string{"/bin/sh", "-c", `echo x >>"$1"`, "fd", "/tmp/done"}, "", 5*time.Second)
		if !errors.Is(err, engine.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
		wantNoSecret(t, err)
	}
	if done, err := c.Exec(t.Context(), id, []string{"/bin/cat", "/tmp/done"}, "", 5*time.Second); err != nil || done.Stdout != "x\nx\n" {
		t.Errorf("two execs without an answer were carried out as %+v, %v", done, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the rate limit takes one of them
	defer cancel()
	f.Faults().Inject(execs, 1, local.Delay(time.Minute))
	if _, err := c.Exec(ctx, id, []string{"/bin/true"}, "", time.Second); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("a slow exec: %v", err)
	}
	f.Faults().Inject(local.Target{Service: local.API, Action: local.ActionList}, 2, local.Refuse(503, ""))
	if machines, err := c.Machines(t.Context()); err != nil || len(machines) != 1 {
		t.Errorf("a list with stumbles: %+v, %v", machines, err)
	}
}

func TestMayCreateOnTheLocalFly(t *testing.T) {
	f, err := local.Start(t.Context(), local.Options{App: "counter", StateDir: t.TempDir(), Isolation: local.Processes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	strong := localClient(t, f, f.Token())
	if err := strong.MayCreate(t.Context()); err != nil {
		t.Errorf("a deploy token: %v", err)
	}
	err = localClient(t, f, f.ExecToken()).MayCreate(t.Context())
	wantProblem(t, err, "token_too_weak")
	if !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("an exec token: %v", err)
	}
	wantProblem(t, localClient(t, f, testToken).MayCreate(t.Context()), "token_refused")
	if machines, err := strong.Machines(t.Context()); err != nil || len(machines) != 0 {
		t.Errorf("asking left %+v, %v", machines, err)
	}
}
