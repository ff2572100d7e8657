package local

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"flydeploy/fly/local/run"
)

// A machine is a real node with Fly's environment; exec runs beside it.
func TestMachineRunsTheRelease(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		image := pushSample(t, f)
		id := launchSample(t, f, MachineSpec{Image: image, Region: "nrt", Env: map[string]string{"GREETING": "hej"}})
		for name, want := range map[string]string{
			"FLY_APP_NAME": "sample", "FLY_MACHINE_ID": id, "FLY_REGION": "nrt", "FLY_IMAGE_REF": image,
			"FLY_PROCESS_GROUP": "app", "FLY_VM_MEMORY_MB": "512", "PRIMARY_REGION": "ams", "GREETING": "hej",
			"BUCKET_NAME": "sample-releases", "AWS_REGION": "auto", "AWS_ENDPOINT_URL_S3": f.S3().Endpoint,
			"AWS_ACCESS_KEY_ID": f.S3().AccessKeyID, "AWS_SECRET_ACCESS_KEY": f.S3().SecretAccessKey,
		} {
			if got := ask(t, f, id, "env/"+name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		for _, url := range []string{f.S3().Endpoint, f.APIURL()} {
			port := url[strings.LastIndex(url, ":")+1:]
			if got := ask(t, f, id, "fetch/"+port); !strings.HasPrefix(got, "HTTP/1.") {
				t.Errorf("request from the machine to 127.0.0.1:%s: %s", port, got)
			}
		}
		result := execWords(t, f, id, "/app/bin/sample", "rpc", "IO.puts(Sample.Counter.next() + 41)")
		if strings.TrimSpace(result.Stdout) != "42" || result.ExitCode != 0 {
			t.Errorf("rpc answered %+v", result)
		}
	})
}

// In namespaces the VM is unprivileged and owns /app, exec is root, and the host is out of reach.
func TestUsers(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id := launchSample(t, f, MachineSpec{})
		if got := ask(t, f, id, "write/owned"); got != ":ok" {
			t.Errorf("the VM writes below /app: %s", got)
		}
		if f.Isolation() != Namespaces {
			return // all is one user's
		}
		if got := execWords(t, f, id, "id", "-u").Stdout; got != "0\n" {
			t.Errorf("exec runs as user %s", got)
		}
		owners := execWords(t, f, id, "/bin/sh", "-c", `stat -c %u /app /app/bin /proc/$(pgrep -o beam.smp); hostname; echo $PORT`)
		if want := "65534\n65534\n65534\n" + id + "\n8080\n"; owners.Stdout != want {
			t.Errorf("owners of /app, /app/bin and the VM, host name, PORT:\n%s\nwant\n%s", owners.Stdout, want)
		}
		if readOnly := execWords(t, f, id, "touch", "/usr/here"); readOnly.ExitCode == 0 {
			t.Error("a machine can write to the host's /usr")
		}
		if orphans := execWords(t, f, id, "/bin/sh", "-c", `(sleep 0 & ); while ps -eo stat= | grep -q Z; do :; done; echo reaped`); orphans.Stdout != "reaped\n" {
			t.Errorf("orphans: %+v", orphans)
		}
	})
}

// stop and start, restart, suspend and start: what is new after each, and what is still there.
func TestLifecycle(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		c := client(t, f, f.Token())
		id := launchSample(t, f, MachineSpec{})
		ask(t, f, id, "count")
		ask(t, f, id, "write/mark")

		if err := c.Suspend(t.Context(), "sample", id, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateSuspended)
		if _, err := c.Exec(t.Context(), "sample", id, &fly.MachineExecRequest{Cmd: "id"}); statusOf(err) != http.StatusPreconditionFailed {
			t.Errorf("exec in a suspended machine: %v", err)
		}
		if response, err := c.Start(t.Context(), "sample", id, ""); err != nil || response.PreviousState != fly.MachineStateSuspended {
			t.Fatalf("start after suspend: %+v, %v", response, err)
		}
		await(t, c, id, fly.MachineStateStarted)
		if got := ask(t, f, id, "count"); got != "2" {
			t.Errorf("count after suspend and start = %s: a suspended machine wakes as it was", got)
		}

		if err := c.Stop(t.Context(), "sample", fly.StopMachineInput{ID: id}, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateStopped)
		exit := machineNow(t, c, id).GetLatestEventOfType("exit")
		if exit == nil || !exit.Request.ExitEvent.RequestedStop || exit.Request.ExitEvent.ExitCode != 0 {
			t.Errorf("a VM that is told to stop exits cleanly: %+v", exit)
		}
		if _, err := c.Start(t.Context(), "sample", id, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateStarted)
		awaitReady(t, f, id)
		if count, mark := ask(t, f, id, "count"), ask(t, f, id, "read/mark"); count != "1" || mark != "enoent" {
			t.Errorf("after stop and start: count %s, file %s; want a new boot on a new disk", count, mark)
		}

		ask(t, f, id, "write/mark")
		if err := c.Restart(t.Context(), "sample", fly.RestartMachineInput{ID: id, Timeout: 10 * time.Second}, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateStarted)
		awaitReady(t, f, id)
		if count, mark := ask(t, f, id, "count"), ask(t, f, id, "read/mark"); count != "1" || mark != "enoent" {
			t.Errorf("after restart: count %s, file %s; want a new boot on a new disk", count, mark)
		}

		if err := c.Destroy(t.Context(), "sample", fly.RemoveMachineInput{ID: id}, ""); statusOf(err) != http.StatusPreconditionFailed {
			t.Errorf("destroy a started machine without force: %v", err)
		}
		if err := c.Destroy(t.Context(), "sample", fly.RemoveMachineInput{ID: id, Kill: true}, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateDestroyed)
		if left := run.Marked("FLY_MACHINE_ID=" + id); len(left) > 0 {
			t.Errorf("%d processes of a destroyed machine are left", len(left))
		}
		isIt := func(m *fly.Machine) bool { return m.ID == id }
		if list, err := c.List(t.Context(), "sample", ""); err != nil || slices.ContainsFunc(list, isIt) {
			t.Errorf("list after destroy: %v, %v", list, err)
		}
		if list, err := c.List(t.Context(), "sample", "include_deleted=true"); err != nil || !slices.ContainsFunc(list, isIt) {
			t.Errorf("list with deleted machines: %v, %v", list, err)
		}
	})
}

// A machine that is suspended when it is stopped loses its snapshot.
func TestStopDropsASnapshot(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		c := client(t, f, f.Token())
		id := launchSample(t, f, MachineSpec{State: fly.MachineStateSuspended})
		if err := c.Stop(t.Context(), "sample", fly.StopMachineInput{ID: id}, ""); err != nil {
			t.Fatal(err)
		}
		await(t, c, id, fly.MachineStateStopped)
		if left := run.Marked("FLY_MACHINE_ID=" + id); len(left) > 0 {
			t.Errorf("%d processes of a stopped machine are left", len(left))
		}
	})
}

// The orchestrator of a deploy: made by the API, ends itself.
func TestTemporaryMachineEndsItself(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		c := client(t, f, f.Token())
		machine, err := c.Launch(t.Context(), "sample", fly.LaunchMachineInput{
			Region: "fra",
			Config: &fly.MachineConfig{
				Image: pushShell(t, f), AutoDestroy: true,
				Restart:  &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo},
				Init:     fly.MachineInit{Exec: []string{"/bin/sleep", "0.5"}},
				Metadata: map[string]string{"flydeploy": "01TEST"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if machine.Region != "fra" || machine.State == fly.MachineStateStarted && machine.InstanceID == "" {
			t.Errorf("launched %+v", machine)
		}
		found, err := c.List(t.Context(), "sample", "metadata.flydeploy=01TEST")
		if err != nil || len(found) != 1 || found[0].ID != machine.ID {
			t.Errorf("list by metadata: %v, %v", found, err)
		}
		if none, err := c.List(t.Context(), "sample", "metadata.flydeploy=other"); err != nil || len(none) != 0 {
			t.Errorf("list by other metadata: %v, %v", none, err)
		}
		await(t, c, machine.ID, fly.MachineStateDestroyed)
	})
}

func TestRestartPolicies(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		c := client(t, f, f.Token())
		image := pushSample(t, f)
		id := launchSample(t, f, MachineSpec{Image: image})
		ask(t, f, id, "count")
		if err := f.Crash(id); err != nil {
			t.Fatal(err)
		}
		awaitCount(t, f, id, "1") // on-failure is the default
		exit := machineNow(t, c, id).GetLatestEventOfType("exit").Request.ExitEvent
		if exit.GuestSignal != 9 || exit.RequestedStop || !exit.Restarting {
			t.Errorf("exit event of a killed VM: %+v", exit)
		}

		once, err := c.Launch(t.Context(), "sample", fly.LaunchMachineInput{Config: &fly.MachineConfig{
			Image: image, Restart: &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo},
			Init: fly.MachineInit{Exec: []string{"/bin/sh", "-c", "exit 3"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		await(t, c, once.ID, fly.MachineStateStopped)
		exit = machineNow(t, c, once.ID).GetLatestEventOfType("exit").Request.ExitEvent
		if exit.ExitCode != 3 || exit.Restarting {
			t.Errorf("exit event: %+v", exit)
		}
	})
}

// Several machines of one image do not see each other, whatever they have in common.
func TestFleet(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		c := client(t, f, f.Token())
		image := pushSample(t, f)
		first := launchSample(t, f, MachineSpec{Image: image, Region: "ams", CheckPath: "/count"})
		second := launchSample(t, f, MachineSpec{Image: image, Region: "nrt"})
		worker, err := f.Launch(t.Context(), MachineSpec{Image: image, Group: "worker", Command: []string{"/usr/bin/tail", "-f", "/dev/null"}, NoService: true})
		if err != nil {
			t.Fatal(err)
		}
		stopped := launchSample(t, f, MachineSpec{Image: image, State: fly.MachineStateStopped})

		for range 3 {
			ask(t, f, first, "count")
		}
		if got := execWords(t, f, second, "/app/bin/sample", "rpc", "IO.puts(Sample.Counter.next())").Stdout; got != "1\n" {
			t.Errorf("the second machine's counter says %q", got)
		}
		if got := execWords(t, f, worker, "/bin/sh", "-c", "cat /proc/*/environ | tr '\\0' '\\n' | grep -c ^RELEASE_ROOT="); got.Stdout != "0\n" {
			t.Errorf("the worker sees a release: %+v", got)
		}
		list, err := c.List(t.Context(), "sample", "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.ID+" "+m.State+" "+m.ProcessGroup()+" "+m.Region)
		}
		want := []string{first + " started app ams", second + " started app nrt", worker + " started worker ams", stopped + " stopped app ams"}
		if !slices.Equal(got, want) {
			t.Errorf("list:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if only, err := c.List(t.Context(), "sample", "region=nrt"); err != nil || len(only) != 1 || only[0].ID != second {
			t.Errorf("list of a region: %v, %v", only, err)
		}
		if ref := list[0].ImageRef; list[0].FullImageRef() != image+"@"+ref.Digest || ref.Tag == "" {
			t.Errorf("image: %+v, pushed %s", ref, image)
		}
		awaitCheck(t, f, first, fly.Passing)
	})
}

// A check tells when the application stops answering.
func TestChecks(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		port, kind, path, soon := 8080, "http", "/count", fly.Duration{Duration: 20 * time.Millisecond}
		m, err := f.machines.Create(t.Context(), fly.LaunchMachineInput{Config: &fly.MachineConfig{
			Image: pushSample(t, f), Restart: &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo},
			Checks: map[string]fly.MachineCheck{"alive": {Port: &port, Type: &kind, HTTPPath: &path, Interval: &soon}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		awaitCheck(t, f, m.ID(), fly.Passing)
		execWords(t, f, m.ID(), "/app/bin/sample", "rpc", "Supervisor.stop(Sample.Supervisor)")
		awaitCheck(t, f, m.ID(), fly.Critical)
		if err := f.Crash(m.ID()); err != nil {
			t.Fatal(err)
		}
		awaitCheck(t, f, m.ID(), fly.Warning)
	})
}

func awaitCount(t *testing.T, f *Fly, id, want string) {
	t.Helper()
	until(t, "count is "+want, func(ctx context.Context) (bool, string) {
		got, err := get(ctx, f, id, "count")
		return err == nil && got == want, got
	})
}

func awaitCheck(t *testing.T, f *Fly, id string, want fly.ConsulCheckStatus) {
	t.Helper()
	m, ok := f.machines.Get(id)
	if !ok {
		t.Fatalf("no machine %s", id)
	}
	until(t, "the check is "+string(want), func(context.Context) (bool, string) {
		checks := m.Snapshot().Checks
		return len(checks) == 1 && checks[0].Status == want, f.Console(id)
	})
}

// await waits as fly-go does, over the API.
func await(t *testing.T, c *flaps.Client, id, state string) {
	t.Helper()
	if err := c.Wait(t.Context(), "sample", id, flaps.WithWaitStates(state), flaps.WithWaitTimeout(patience)); err != nil {
		t.Fatal(err)
	}
}

func machineNow(t *testing.T, c *flaps.Client, id string) *fly.Machine {
	t.Helper()
	m, err := c.Get(t.Context(), "sample", id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func statusOf(err error) int {
	var answer *flaps.FlapsError
	if errors.As(err, &answer) {
		return answer.ResponseStatusCode
	}
	return 0
}

func TestProcesses(t *testing.T) {
	eachIsolation(t, func(t *testing.T, f *Fly) {
		id, other := launchShell(t, f, MachineSpec{}), launchShell(t, f, MachineSpec{})
		response, body := rawRequest(t, f, http.MethodGet, "/machines/"+id+"/ps?sort_by=rss&order=desc", "")
		var all []fly.ProcessStat
		if err := json.Unmarshal([]byte(body), &all); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s: %v", response.StatusCode, body, err)
		}
		entry := 0
		for _, p := range all {
			plain := f.Isolation() == Processes && p.Pid == 1
			if plain || p.Rss > 0 && p.Command == "tail -f /dev/null" {
				entry++
			}
		}
		if entry != 1 {
			t.Errorf("%d times the entrypoint among the processes of %s, beside %s: %s", entry, id, other, body)
		}
	})
}
