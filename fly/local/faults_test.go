package local

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
)

func TestFaultsOfTheAPI(t *testing.T) {
	f := startProcesses(t)
	id := launchShell(t, f, MachineSpec{})
	exec := func(script string) (int, string, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.APIURL()+"/v1/apps/sample/machines/"+id+"/exec",
			strings.NewReader(`{"command":["/bin/sh","-c","`+script+`"]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+f.Token())
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), err
	}
	// done tells whether the work of a fault's request was done: it made a file.
	done := func(name string) bool {
		return execWords(t, f, id, "ls", "/tmp/"+name).ExitCode == 0
	}
	target := Target{Service: API, Action: ActionExec, Subject: id}
	tests := []struct {
		name   string
		effect Effect
		status int
		says   string
		done   bool
	}{
		{"refuse", Refuse(408, `{"error":"deadline_exceeded"}`), 408, "deadline_exceeded", false},
		{"forget-slow", ForgetSlow(0, 408, `{"error":"deadline_exceeded"}`), 408, "deadline_exceeded", true},
		{"keep-quick", ForgetSlow(time.Hour, 408, ""), 200, "exit_code", true},
		{"forget", Forget(408, `{"error":"deadline_exceeded"}`), 408, "deadline_exceeded", true},
		{"not-json", Refuse(502, "<html>Bad Gateway</html>"), 502, "<html>", false},
		{"delay", Delay(30 * time.Millisecond), 200, `"exit_code":0`, true},
		{"alter", AlterExec(func(r *ExecResult) { r.ExitCode, r.Stdout = 7, r.Stdout[:2] }), 200, `"stdout":"he","stderr":"","exit_code":7`, true},
		{"too-large", PayloadTooLarge(), 200, "PayloadTooLarge", false},
		{"around", Around(nil, func() {}), 200, "hello", true},
		{"cut", Cut(), 0, "", false},
		{"cut-after", CutAfter(0), 0, "", true},
		{"cut-within", CutAfter(10), 200, `{"stdout":`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.Faults().Inject(target, 1, test.effect)
			status, body, err := exec("touch /tmp/" + test.name + "; echo hello")
			if status != test.status || !strings.Contains(body, test.says) {
				t.Errorf("got %d %q, %v; want %d and %q", status, body, err, test.status, test.says)
			}
			if cut := strings.HasPrefix(test.name, "cut"); cut != (err != nil) {
				t.Errorf("error: %v", err)
			}
			if done(test.name) != test.done {
				t.Errorf("done: %v, want %v", !test.done, test.done)
			}
		})
	}
}

// A crash at a named moment: in the middle of an exec, which then has no answer of its own.
func TestCrashDuringExec(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchShell(t, f, MachineSpec{})
		f.Faults().Inject(Target{Service: API, Action: ActionExec}, 1, Around(nil, func() {
			if err := f.Crash(id); err != nil {
				t.Error(err)
			}
		}))
		if got := execWords(t, f, id, "echo", "last words"); got.Stdout != "last words\n" {
			t.Errorf("exec: %+v", got)
		}
		m, _ := f.machines.Get(id)
		if err := arrive(t.Context(), m, fly.MachineStateStarted); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRegistryLag(t *testing.T) {
	f := startProcesses(t)
	image := pushShell(t, f)
	f.Faults().Inject(Target{Service: Registry, Action: "manifests"}, 2, ImageNotThereYet())
	for range 2 {
		response, body := rawRequest(t, f, http.MethodPost, "/machines", `{"config":{"image":"`+image+`"}}`)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, "MANIFEST_UNKNOWN") {
			t.Errorf("create: %d %s", response.StatusCode, body)
		}
	}
	if _, err := f.Launch(t.Context(), MachineSpec{Image: image}); err != nil {
		t.Error(err)
	}
}

func TestRestartAtANamedMoment(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchShell(t, f, MachineSpec{})
		f.Faults().Inject(Target{Service: API, Action: ActionExec}, 1, Around(nil, func() {
			if err := f.Restart(id); err != nil {
				t.Error(err)
			}
		}))
		if got := execWords(t, f, id, "sh", "-c", "echo kept > /tmp/kept"); got.ExitCode != 0 {
			t.Errorf("exec: %+v", got)
		}
		m, _ := f.machines.Get(id)
		if err := arrive(t.Context(), m, fly.MachineStateStarted); err != nil {
			t.Fatal(err)
		}
		if got := execWords(t, f, id, "ls", "/tmp/kept"); got.ExitCode == 0 {
			t.Error("the disk of the boot before is still there")
		}
	})
}

func TestNetworkThatIsCut(t *testing.T) {
	if err := Namespaces.Works(); err != nil {
		t.Skip(err)
	}
	f, err := sharedFly(Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroyAll(t, f) })
	id := launchSample(t, f, MachineSpec{})
	port := f.S3().Endpoint[strings.LastIndex(f.S3().Endpoint, ":")+1:]
	restore, err := f.CutNetwork(id)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, f, id, "fetch/"+port); strings.HasPrefix(got, "HTTP/1.") {
		t.Errorf("without a network S3 answers %q", got)
	}
	restore()
	if got := ask(t, f, id, "fetch/"+port); !strings.HasPrefix(got, "HTTP/1.") {
		t.Errorf("with the network again: %q", got)
	}
}

func TestDiskOfALimitedSize(t *testing.T) {
	if err := Namespaces.Works(); err != nil {
		t.Skip(err)
	}
	f := startFly(t, Options{Isolation: Namespaces, NoRateLimits: true, DiskMB: 8})
	id := launchShell(t, f, MachineSpec{})
	if got := execWords(t, f, id, "dd", "if=/dev/zero", "of=/tmp/fill", "bs=1M", "count=16"); !strings.Contains(got.Stderr, "No space left") {
		t.Errorf("16 MB on 8 MB: %+v", got)
	}
}
