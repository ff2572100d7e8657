package test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly"
	"flydeploy/fly/local"
	"flydeploy/s3"
)

// What an operator can get wrong, and what a fleet can be in: each ends with its cause, its place and what to do, a
// non-zero exit, nothing suspended and nothing left behind.

// mistake is one command line that must fail.
type mistake struct {
	name string
	env  []string
	args []string
	// prepare brings it about, undo takes it back; both may be nil.
	prepare func(*testing.T) (undo func())
	code    int
	says    []string
	// long: TestFaults or package agent's tests have the same on a node; here it is left to `make faults`.
	long bool
	// again: the tarball of the last deploy is deployed again, so that nothing is packed.
	again bool
	// stages: it comes so far as to touch the VMs of the first machines.
	stages bool
}

// everyMistake: FLYDEPLOY_FAULTS is set by `make faults`.
var everyMistake = os.Getenv("FLYDEPLOY_FAULTS") != ""

func TestBadInput(t *testing.T) {
	t.Parallel()
	o := newOperated(t, 1)
	pushed := []string{"hot", "--yes", "--skip-build", "--image", o.image}
	all := func(effect local.Effect, service local.Service) func(*testing.T) func() {
		return func(*testing.T) func() { return o.fly.Faults().Inject(local.Target{Service: service}, 0, effect) }
	}
	with := func(more ...string) []string { return append(append([]string{}, pushed...), more...) }
	t.Run("doctor", func(t *testing.T) { o.seeDoctor(t) })
	t.Run("build", func(t *testing.T) { o.seeBuild(t) })
	for _, m := range []mistake{
		{name: "unknown app", args: with("--app", "nosuch"), code: 1, says: []string{"list the machines of nosuch", "app not found", "fly apps list"}},
		{name: "bad token", env: []string{"FLY_API_TOKEN=fo1_wrong"}, args: pushed, code: 1, says: []string{"401", "token validation error", "fly auth login"}},
		{name: "weak token", env: []string{"FLY_API_TOKEN=" + o.fly.ExecToken()}, args: pushed, code: 1, says: []string{"check what the token may do", "403", "fly tokens create deploy"}},
		{name: "bucket missing", args: with("--bucket", "nosuch"), code: 1, says: []string{"s3://nosuch/", "NoSuchBucket", "fly storage create"}},
		{
			name: "bucket forbidden", args: pushed, code: 1, says: []string{"s3://counter-releases/", "AccessDenied", "Use keys that may read and write"},
			prepare: all(local.Refuse(403, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`), local.S3),
		},
		{name: "no fly", env: []string{"PATH=" + t.TempDir()}, args: []string{"hot", "--yes"}, code: 1, says: []string{"neither `fly` nor `flyctl`", "Install flyctl"}},
		{
			name: "failed build", env: []string{"FLYCTL=" + script(t, "echo '#9 [5/9] RUN mix compile' >&2; echo 'Error: failed to solve: exit code: 1' >&2; exit 1")},
			args: []string{"hot", "--yes"}, code: 1, says: []string{"deploy --build-only failed", "RUN mix compile", "failed to solve: exit code: 1", "fix the cause"},
		},
		{
			name: "build without an image", env: []string{"FLYCTL=" + script(t, "echo 'image size: 52 MB' >&2")},
			args: []string{"hot", "--yes"}, code: 1, says: []string{"begins with `image:`", "--skip-build --image"},
		},
		{name: "image without a release", args: []string{"hot", "--yes", "--skip-build", "--image", o.pushShell(t)}, code: 1, says: []string{"no release at /app", "WORKDIR"}},
		{name: "application that the image lacks", args: with("--otp-app", "other"), code: 1, says: []string{"no application other", "--otp-app"}},
		{name: "machine that does not exist", args: with("--machine", "0123456789"), code: 1, says: []string{"machine 0123456789 does not exist", o.ids[0]}},
		{name: "no machine selected", args: with("--region", "nrt"), code: 1, says: []string{"no machine to upgrade", o.ids[0] + " ("}},
		{name: "full disk", args: pushed, code: 3, says: []string{o.ids[0], "no space left", "df -h"}, prepare: o.oneOfTwo(o.fillDisk), long: true, stages: true},
		{name: "no crypto", args: pushed, code: 3, says: []string{o.ids[0], "crypto", "extra_applications"}, prepare: o.oneOfTwo(o.forgetCrypto), stages: true},
		// A deploy that holds the lock would end the other's agent; a plan holds none.
		{name: "another agent busy", args: []string{"--dry-run"}, again: true, code: 1, says: []string{"another upgrade", "ann@laptop", "staged", "expires by itself"}, prepare: o.stageAsSomebodyElse, stages: true},
		{name: "read-only files", args: pushed, code: 3, says: []string{o.ids[0], "not_writable", "COPY --chown"}, prepare: o.oneOfTwo(o.forbidWriting), long: true, stages: true},
		{name: "distribution off", args: []string{"--process-group", "mute"}, again: true, code: 1, says: []string{"without distribution", "RELEASE_DISTRIBUTION=name"}, prepare: o.launchMute},
		{name: "two releases", args: []string{"--process-group", "twins"}, again: true, code: 1, says: []string{"2 releases run on the machine: counter in /app", "twin in /app", "--release"}, prepare: o.launchTwins},
	} {
		if m.long && !everyMistake {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			undo := func() {}
			if m.prepare != nil {
				undo = m.prepare(t)
			}
			args := m.args
			if m.again {
				args = append([]string{"hot", "--yes", "--to", o.lastDeploy(t)}, args...)
			}
			out, errs, code := run(t, o.dir, append(append([]string{}, o.env...), m.env...), args...)
			if code != m.code {
				t.Errorf("exit %d, want %d", code, m.code)
			}
			o.expectNoSecret(t, out+errs)
			for _, says := range append(m.says, "-> ") {
				if !strings.Contains(out+errs, says) {
					t.Errorf("it does not say %q", says)
				}
			}
			if t.Failed() {
				t.Logf("\n%s%s", out, errs)
			}
			undo()
			if m.stages {
				o.expectUntouched(t)
			}
			o.expectNothingLeft(t)
		})
	}
	t.Run("screens of a failed deploy", func(t *testing.T) { o.seeScreens(t) })
	t.Run("one of two releases", func(t *testing.T) { o.seeOneOfTwins(t) })
	o.expectUntouched(t)
	t.Run("no machine runs", func(t *testing.T) { o.seeStopped(t) })
}

// seeDoctor has the doctor look at a sound fleet, with and without what a deploy needs.
func (o *operated) seeDoctor(t *testing.T) {
	flyctl := "FLYCTL=" + script(t, "echo 'flyctl v0.3.200 linux/amd64'")
	type verdict struct{ env, fails, warns []string }
	for _, v := range []verdict{
		{env: []string{flyctl}},
		{env: []string{flyctl, "FLY_API_TOKEN=" + o.fly.ExecToken()}, fails: []string{"power"}},
		{env: []string{flyctl, "FLY_API_TOKEN=fo1_wrong"}, fails: []string{"app"}},
		{env: []string{"FLY_API_TOKEN=", "PATH=" + t.TempDir()}, fails: []string{"token"}, warns: []string{"flyctl"}},
	} {
		out, errs, code := run(t, o.dir, append(append([]string{}, o.env...), v.env...), "doctor", "--output", "json")
		o.expectNoSecret(t, out+errs)
		got := verdict{env: v.env}
		checks := map[string]engine.CheckStatus{}
		for text := range strings.Lines(out) {
			var c engine.Check
			if err := json.Unmarshal([]byte(text), &c); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			checks[c.Name] = c.Status
			switch c.Status {
			case engine.CheckFail:
				got.fails = append(got.fails, c.Name)
			case engine.CheckWarn:
				got.warns = append(got.warns, c.Name)
			default:
				continue
			}
			if c.Remedy == "" || c.Text == "" {
				t.Errorf("no remedy: %+v", c)
			}
		}
		if !reflect.DeepEqual(got, v) || (code == 0) != (len(v.fails) == 0) {
			t.Errorf("exit %d, %+v, want %+v\n%s%s", code, got, v, out, errs)
		}
		if len(v.fails)+len(v.warns) > 0 {
			continue
		}
		for _, name := range []string{
			"config", "flyctl", "token", "app", "machines", "power", "release", "distribution", "vm", "crypto", "ssl", "certificates",
			"files", "startup_hook", "catch_up", "poller", "agent", "vm_clock", "storage_settings", "bucket", "conditional_writes", "lock", "storage_clock",
		} {
			if checks[name] != engine.CheckOK {
				t.Errorf("check %s is %q\n%s", name, checks[name], out)
			}
		}
	}
	out, _, _ := run(t, o.dir, append(append([]string{}, o.env...), flyctl), "doctor", "--bucket", "nosuch")
	for _, says := range []string{"fail     bucket  ", "s3://nosuch/", "→ Run `fly storage create", "skipped  lock", "1 failed, 3 not checked"} {
		if !strings.Contains(out, says) {
			t.Errorf("the doctor does not say %q:\n%s", says, out)
		}
	}
}

// seeBuild plans with an image that flyctl builds: its output is shown without colours, and the options reach it.
func (o *operated) seeBuild(t *testing.T) {
	flyctl := script(t, `echo "==> Building with: $*"; printf '\033[32mimage: `+o.image+`\033[0m\n' >&2; echo 'image size: 52 MB' >&2`)
	out, errs, code := run(t, o.dir, append(append([]string{}, o.env...), "FLYCTL="+flyctl), "plan", "--build-arg", "SHA=1", "--no-cache", "--depot=false")
	o.expectNoSecret(t, out+errs)
	want := "==> Building with: deploy --build-only --push --remote-only --app counter --config fly.toml --build-arg SHA=1 --no-cache --depot=false"
	for _, says := range []string{want, "image: " + o.image, "image size: 52 MB", "processes on 1 machine"} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	if code != 0 || strings.Contains(out, "\x1b") || t.Failed() {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// expectNoSecret looks for tokens, keys and presigned URLs.
func (o *operated) expectNoSecret(t *testing.T, text string) {
	t.Helper()
	info := o.fly.S3()
	for name, secret := range map[string]string{
		"token": o.fly.Token(), "exec token": o.fly.ExecToken(), "access key": info.AccessKeyID, "secret key": info.SecretAccessKey,
		"signature": "X-Amz-Signature",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s is shown", name)
		}
	}
}

// lastDeploy gives the id of the last recorded deploy.
func (o *operated) lastDeploy(t *testing.T) string {
	t.Helper()
	ids, err := o.bucket(t).Upgrades(t.Context())
	if err != nil || len(ids) == 0 {
		t.Fatalf("recorded deploys: %v, %v", ids, err)
	}
	return ids[0]
}

// script puts a shell script in the place of flyctl.
func script(t *testing.T, body string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fly")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// pushShell pushes an image that is no release's.
func (o *operated) pushShell(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{"releases/1/shell.rel", "bin/shell"} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image, err := o.fly.Push(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref
}

func (o *operated) client(t testing.TB) *fly.Client {
	t.Helper()
	c, err := fly.New(fly.Options{App: "counter", Token: o.fly.Token(), BaseURL: o.fly.APIURL()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bucket opens the local Fly's, as a console does.
func (o *operated) bucket(t testing.TB) *s3.Bucket {
	t.Helper()
	info := o.fly.S3()
	bucket, err := s3.Open(context.WithoutCancel(t.Context()), s3.Config{
		Endpoint: info.Endpoint, Region: info.Region, Bucket: info.Bucket, App: "counter",
		AccessKeyID: info.AccessKeyID, SecretAccessKey: info.SecretAccessKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// on runs a shell script on a machine, as root.
func (o *operated) on(t testing.TB, id, script string) string {
	t.Helper()
	out, err := o.client(t).Exec(context.WithoutCancel(t.Context()), id, []string{"/bin/sh", "-c", script}, "", time.Minute)
	if err != nil || out.ExitCode != 0 {
		t.Fatalf("machine %s: %s: %+v, %v", id, script, out, err)
	}
	return out.Stdout
}

func (o *operated) rpc(t testing.TB, id, program string) string {
	t.Helper()
	return o.on(t, id, "/app/bin/counter rpc '"+program+"'")
}

func (o *operated) inNamespaces(t *testing.T) {
	t.Helper()
	if o.fly.Isolation() != local.Namespaces {
		t.Skip("machines that are plain processes share disk and user with the test")
	}
}

// oneOfTwo prepares the machine, beside which a sound one runs meanwhile.
func (o *operated) oneOfTwo(prepare func(*testing.T) (undo func())) func(*testing.T) func() {
	return func(t *testing.T) func() {
		undo := prepare(t)
		sound := o.launch(t, local.MachineSpec{Image: o.base})
		return func() {
			undo()
			o.order(t, http.MethodDelete, sound, "?force=true", "")
		}
	}
}

func (o *operated) fillDisk(t *testing.T) (undo func()) {
	o.inNamespaces(t)
	o.on(t, o.ids[0], "dd if=/dev/zero of=/tmp/fill bs=1M 2>/dev/null || true")
	return func() { o.on(t, o.ids[0], "rm /tmp/fill") }
}

func (o *operated) forbidWriting(t *testing.T) (undo func()) {
	o.inNamespaces(t)
	o.on(t, o.ids[0], "chown -R root /app/lib")
	return func() { o.on(t, o.ids[0], "chown -R 65534 /app/lib") }
}

// forgetCrypto leaves a VM as one whose release lacks crypto.
func (o *operated) forgetCrypto(t *testing.T) (undo func()) {
	path := o.rpc(t, o.ids[0], `IO.write(:code.lib_dir(:crypto)); :code.del_path(:crypto); :code.delete(:crypto); :code.purge(:crypto)`)
	return func() {
		// In embedded mode nothing is loaded by itself.
		o.rpc(t, o.ids[0], `true = :code.add_patha(to_charlist("`+path+`/ebin")); {:module, :crypto} = :code.load_abs(to_charlist("`+path+`/ebin/crypto"))`)
	}
}

// stageAsSomebodyElse leaves a deploy of another operator where its plan waits for the confirmation.
func (o *operated) stageAsSomebodyElse(t *testing.T) (undo func()) {
	bucket := o.bucket(t)
	open := func(context.Context, string, map[string]string) (engine.Storage, error) {
		return engine.Storage{Locks: bucket, Records: bucket, Tarballs: bucket, Trials: bucket}, nil
	}
	d := deploy.Start(t.Context(), engine.Settings{
		App: "counter", Owner: "ann@laptop", MaxConcurrency: 2, Timeout: time.Minute, SuspendTimeout: time.Second,
		LockTimeout: time.Hour, Ask: true, To: o.lastDeploy(t),
	}, deploy.Ports{Fleet: o.client(t), Storage: open})
	for p := engine.NewProgress(); p.Asks() != engine.QuestionPlan; {
		batch, err := d.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range batch {
			p.Apply(e)
		}
	}
	return func() {
		d.Stop()
		if r := d.Result(); r.Outcome != engine.OutcomeCancelled {
			t.Errorf("the other operator's deploy ended %s: %v", r.Outcome, r.Problem)
		}
	}
}

func (o *operated) launchMute(t *testing.T) (undo func()) {
	o.launch(t, local.MachineSpec{Image: o.base, Group: "mute", Env: map[string]string{"RELEASE_DISTRIBUTION": "none"}})
	return func() {}
}

// seeScreens has the storage quote in its refusal what it was asked with, and looks at every pane of the console. pane
// looks for secrets on each screen.
func (o *operated) seeScreens(t *testing.T) {
	body := `<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message><AWSAccessKeyId>` + o.fly.S3().AccessKeyID +
		`</AWSAccessKeyId><CanonicalRequest>X-Amz-Signature=0123abcd</CanonicalRequest></Error>`
	lift := o.fly.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet, Subject: "releases/counter-2"}, 0, local.Refuse(http.StatusForbidden, body))
	record, errs, code := run(t, o.dir, o.env, "hot", "--yes", "--to", o.lastDeploy(t), "--output", "json", "--process-group", "app")
	lift()
	o.expectNoSecret(t, record+errs)
	path := filepath.Join(t.TempDir(), "record.ndjson")
	if err := os.WriteFile(path, []byte(record), 0o600); err != nil || code == 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, record, errs)
	}
	p := newPane(t, 160, 50, o.dir, o.env, binary(t), "replay", path, "--speed", "200")
	p.until("replay ended")
	p.keys("Enter")
	p.until("answered 403")
	p.keys("Escape", "L")
	p.until("answered 403")
	p.keys("q")
	if code, text := p.exited(); code != 0 {
		t.Errorf("exit %d\n%s", code, text)
	}
	o.expectNothingLeft(t)
}

// seeOneOfTwins: on the machine of launchTwins the release that is named is planned for.
func (o *operated) seeOneOfTwins(t *testing.T) {
	o.inNamespaces(t)
	out, errs, code := run(t, o.dir, o.env, "hot", "--dry-run", "--to", o.lastDeploy(t), "--process-group", "twins", "--release", "counter", "--release-root", "/app")
	if code != 0 || !strings.Contains(out, "processes on 1 machine") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	o.expectNothingLeft(t)
}

func (o *operated) launchTwins(t *testing.T) (undo func()) {
	o.inNamespaces(t)
	o.launch(t, local.MachineSpec{Image: o.base, Group: "twins", Command: []string{"/bin/sh", "-c",
		"RELEASE_NAME=twin RELEASE_NODE=twin@127.0.0.1 PORT=8081 /app/bin/counter start & exec /app/bin/counter start"}})
	return func() {}
}

// suspended prints how many processes of a VM wait for a resume.
const suspended = `Process.list() |> Enum.count(fn pid ->
  with {_, stack} <- Process.info(pid, :current_stacktrace), do: Enum.any?(stack, &match?({:sys, f, _, _} when f in [:suspend_loop, :suspend_loop_hib], &1))
end) |> IO.write()`

// expectUntouched: the machines run what they ran, and nobody waits for a resume.
func (o *operated) expectUntouched(t *testing.T) {
	t.Helper()
	for _, id := range o.ids {
		if got := o.rpc(t, id, `IO.write(to_string(Counter.Version.number()) <> " "); `+suspended); got != "1.0.0 0" {
			t.Errorf("machine %s runs, and has suspended: %s", id, got)
		}
	}
}

// expectNothingLeft: no temporary machine and no lock.
func (o *operated) expectNothingLeft(t *testing.T) {
	t.Helper()
	machines, err := o.client(t).Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		if m.Temporary != "" {
			t.Errorf("a temporary machine is left: %+v", m)
		}
	}
	if held, err := o.bucket(t).Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the lock is left: %+v, %v", held, err)
	}
}

// seeStopped: where no machine runs, a temporary one tells where the bucket is, and only that.
func (o *operated) seeStopped(t *testing.T) {
	all, err := o.client(t).Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		o.kill(t, m.ID)
	}
	weak := append(append([]string{}, o.env...), "FLY_API_TOKEN="+o.fly.ExecToken())
	for _, try := range []struct {
		env, args []string
		code      int
		says      []string
	}{
		{o.env, []string{"status"}, 0, []string{"asking a temporary machine where the bucket is", "stopped", "hot upgrade: none", "deploy lock: free"}},
		{o.env, []string{"withdraw", "--yes"}, 1, []string{"asking a temporary machine where the bucket is", "current.json names no upgrade"}},
		{weak, []string{"status"}, 0, []string{"stopped", "storage: ", "403", "fly tokens create deploy"}},
		{o.env, []string{"hot", "--yes", "--skip-build", "--image", o.image}, 1, []string{"no machine is started", "stopped: it takes the upgrade at its next boot", "Start one: `fly machine start"}},
	} {
		out, errs, code := run(t, o.dir, try.env, try.args...)
		o.expectNoSecret(t, out+errs)
		for _, says := range try.says {
			if !strings.Contains(out+errs, says) {
				t.Errorf("%v does not say %q", try.args, says)
			}
		}
		if code != try.code || t.Failed() {
			t.Errorf("%v: exit %d, want %d\n%s%s", try.args, code, try.code, out, errs)
		}
		o.expectNothingLeft(t)
	}
}

// kill stops a machine at once, and waits until it has.
func (o *operated) kill(t *testing.T, id string) {
	t.Helper()
	o.order(t, http.MethodPost, id, "/stop", `{"signal":"SIGKILL"}`)
	o.order(t, http.MethodGet, id, "/wait?timeout=60&state=stopped", "")
}

// order asks the Machines API for something of a machine.
func (o *operated) order(t *testing.T, method, id, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, o.fly.APIURL()+"/v1/apps/counter/machines/"+id+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+o.fly.Token())
	answer, err := http.DefaultClient.Do(request)
	if err == nil {
		err = answer.Body.Close()
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s of machine %s: %v, %v", method, path, id, answer, err)
	}
}
