package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/elixir"
	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// mall is an umbrella on a local Fly as people have one: a release named like none of its applications, in a folder of
// its own, run by an unprivileged user, with flyctl's env.sh (a node named by image and IPv6 address), a cookie of its
// own, and a runtime.exs that insists on a secret.
type mall struct {
	*world
	images [3]string // by version
}

func newMall(t *testing.T) *mall {
	t.Helper()
	l, err := local.Start(t.Context(), local.Options{
		App: "mall-prod", StateDir: t.TempDir(), ReleaseRoot: "/srv/mall", NoRateLimits: true,
		Secrets: map[string]string{"SECRET_KEY_BASE": "secret-of-the-mall", "RELEASE_COOKIE": "cookie-of-the-mall"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := fly.New(fly.Options{App: "mall-prod", Token: l.Token(), BaseURL: l.APIURL()})
	if err != nil {
		t.Fatal(err)
	}
	m := &mall{world: &world{t: t, local: l, fleet: client}}
	source := t.TempDir()
	for folder, files := range map[string]func() error{
		"the sample":  func() error { return os.CopyFS(source, os.DirFS("testdata/mall")) },
		"the package": func() error { return os.CopyFS(filepath.Join(source, "fly_deploy"), elixir.Files) },
	} {
		if err := files(); err != nil {
			t.Fatalf("%s: %v", folder, err)
		}
	}
	for version := 1; version < len(m.images); version++ {
		m.images[version] = m.build(source, version)
	}
	return m
}

// build makes a version's release, and pushes it. The versions share a build folder: what they depend on is compiled once.
func (m *mall) build(source string, version int) (image string) {
	m.t.Helper()
	release := m.t.TempDir()
	cmd := exec.CommandContext(m.t.Context(), "mix", "release", "--force", "--path", release)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "MIX_ENV=prod", fmt.Sprintf("MALL_VERSION=%d", version))
	if output, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, output)
	}
	pushed, err := m.local.Push(m.t.Context(), release, "")
	if err != nil {
		m.t.Fatal(err)
	}
	return pushed.Ref
}

func (m *mall) ask(id, program string) string {
	m.t.Helper()
	out, err := m.fleet.Exec(m.t.Context(), id, []string{"/srv/mall/bin/mall", "rpc", "IO.inspect(" + program + ")"}, "", 30*time.Second)
	if err != nil || out.ExitCode != 0 {
		m.t.Fatalf("machine %s: %s: %+v, %v\n%s", id, program, out, err, m.local.Console(id))
	}
	return strings.TrimSpace(out.Stdout)
}

// awaitUp asks until the application has started.
func (m *mall) awaitUp(id string) {
	m.t.Helper()
	for {
		conn, err := m.local.Dial(m.t.Context(), id, 8080)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-time.After(50 * time.Millisecond): // between two looks
		case <-m.t.Context().Done():
			m.t.Fatalf("machine %s: %v\n%s", id, err, m.local.Console(id))
		}
	}
}

func (m *mall) expectVersions(id, want string) {
	m.t.Helper()
	if got := m.ask(id, "{Shop.Till.version(), ShopWeb.Door.version()}"); got != want {
		m.t.Errorf("machine %s runs %s, want %s\n%s", id, got, want, m.local.Console(id))
	}
}

func TestSetUpsAsPeopleHaveThem(t *testing.T) {
	t.Parallel() // mostly waits
	if err := local.Namespaces.Works(); err != nil {
		t.Skip(err)
	}
	m := newMall(t)
	launch := func(spec local.MachineSpec) string {
		t.Helper()
		spec.Image = m.images[1]
		id, err := m.local.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	cron := launch(local.MachineSpec{Group: "cron", Command: []string{"/usr/bin/tail", "-f", "/dev/null"}, NoService: true})
	web := launch(local.MachineSpec{Group: "web"})
	asleep := launch(local.MachineSpec{Group: "web", State: "stopped"}) // by autostop
	m.awaitUp(web)
	m.expectVersions(web, "{1, 1}")
	if got := m.ask(web, "{node(), Node.get_cookie(), Shop.Till.sell()}"); !strings.Contains(got, "@fdaa:") || !strings.Contains(got, ":\"cookie-of-the-mall\", 1}") {
		t.Fatalf("the node is not as it is meant to be: %s", got)
	}
	pid := m.ask(web, "Process.whereis(Shop.Till)")

	s := settings()
	s.App, s.Image = "mall-prod", m.images[2]
	if _, r := m.deploy(s, 0); r.Problem == nil || r.Problem.Name != "no_otp_app" || !strings.Contains(r.Problem.Remedy, "--otp-app") {
		t.Fatalf("without the application's name: %s, %v", r.Outcome, r.Problem)
	}
	s.OTPApp = "shop"
	p, r := m.deploy(s, 0)
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	m.expectVersions(web, "{2, 2}")
	if got := m.ask(web, "{Process.whereis(Shop.Till), Shop.Till.sell()}"); got != "{"+pid+", {:sold, 2}}" {
		t.Errorf("after the upgrade the till %s answers %s", pid, got)
	}
	why := map[string]string{}
	for _, left := range p.Plan.LeftOut {
		why[left.ID] = left.LeftOut
	}
	if !strings.Contains(why[cron], "runs no Elixir release") || !strings.Contains(why[asleep], "next boot") || len(r.Machines) != 1 {
		t.Errorf("left out: %v, upgraded: %+v", why, r.Machines)
	}

	m.start(asleep)
	m.awaitUp(asleep)
	m.expectVersions(asleep, "{2, 2}")
	if left := m.temporaryMachines(); len(left) > 0 {
		t.Errorf("temporary machines are left: %v", left)
	}
}

// start is what Fly's proxy does to a machine that autostop has stopped.
func (m *mall) start(id string) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.local.APIURL()+"/v1/apps/mall-prod/machines/"+id+"/start", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+m.local.Token())
	answer, err := http.DefaultClient.Do(r)
	if err == nil {
		err = answer.Body.Close()
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		m.t.Fatalf("start of machine %s: %v, %v", id, answer, err)
	}
}
