package agent

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func TestDiscover(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1, "AWS_SECRET_ACCESS_KEY=a b'c\"$d\\e", "FLY_IMAGE_REF=registry.example/app:tag")
	want := VM{
		PID: n.vm.PID, Start: n.vm.Start, Root: n.root, Name: "ledger", Node: n.vm.Node, Version: "1.1.0", OTPApp: "ledger",
		Image: "registry.example/app:tag", Distribution: "name",
	}
	if n.vm != want || !strings.HasPrefix(n.vm.Node, "ledger-") || n.vm.Start == "" {
		t.Errorf("found %+v", n.vm)
	}

	// What leaves the machine is what was asked for: no cookie.
	env, err := StorageEnv(t.Context(), n.exec, n.vm)
	if err != nil {
		t.Fatal(err)
	}
	wantEnv := map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a b'c\"$d\\e", "AWS_REGION": "auto", "BUCKET_NAME": "b=c"}
	if !maps.Equal(env, wantEnv) {
		t.Errorf("storage: %v", env)
	}

	// The rpc of a busy console is a BEAM too, and no release that was started.
	rpc := exec.Command(filepath.Join(n.root, "bin", "ledger"), "rpc", "Process.sleep(3000)")
	rpc.Env = append(slices.Clone(n.env), "RELEASE_COOKIE=x", "RELEASE_DISTRIBUTION=none")
	_ = rpc.Start()
	if _, err := Discover(t.Context(), n.exec, engine.Release{}); err != nil {
		t.Errorf("beside an rpc: %v", err)
	}
	_ = rpc.Process.Kill()
	_ = rpc.Wait()

	// A root that is set is where the release's program is looked for.
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(n.root, elsewhere); err != nil {
		t.Fatal(err)
	}
	set, err := Discover(t.Context(), n.realExec, engine.Release{Name: "ledger", Root: elsewhere})
	if err != nil || set.Root != elsewhere || set.OTPApp != "ledger" || set.PID != n.vm.PID {
		t.Errorf("with its root set: %+v, %v", set, err)
	}
	if facts, err := Probe(t.Context(), n.realExec, set); err != nil || !facts.Crypto {
		t.Errorf("asked in the root that is set: %+v, %v", facts, err)
	}
	set.Root = "/nowhere"
	if _, err := Probe(t.Context(), n.realExec, set); err == nil || !strings.Contains(err.Error(), "/nowhere/bin") {
		t.Errorf("asked where no release is: %v", err)
	}

	another := &node{t: t, env: []string{"PATH=" + os.Getenv("PATH"), "FLY_MACHINE_ID=another"}}
	if _, err := Discover(t.Context(), another.realExec, engine.Release{}); !errors.Is(err, ErrNoVM) {
		t.Errorf("on another machine: %v", err)
	}
	gone := n.vm
	gone.Start = "1"
	if _, err := StorageEnv(t.Context(), n.exec, gone); !errors.Is(err, ErrGone) {
		t.Errorf("another boot: %v", err)
	}
}

func TestTheReleaseThatIsMeant(t *testing.T) {
	type is = process
	const folder = "drwxr-xr-x 6 65534 0 4096 Jan  1 00:00 /app/"
	in := func(root, name string) is { return is{VM: VM{Name: name, Root: root}, user: "65534", folder: folder} }
	app := func(name string) is { return in("/app", name) }
	of := func(user, folder string) is {
		return is{VM: VM{Name: "shop", Root: "/app", PID: "7"}, user: user, folder: folder}
	}
	shop := VM{Name: "shop", Root: "/app"}
	for name, test := range map[string]struct {
		set  engine.Release
		all  []is
		want VM
		err  string
	}{
		"the only one":                {all: []is{app("shop")}, want: shop},
		"none":                        {err: ErrNoVM.Error()},
		"one of two":                  {set: engine.Release{Name: "shop"}, all: []is{app("cron"), app("shop")}, want: shop},
		"two":                         {all: []is{app("shop"), app("cron")}, err: "2 releases run on the machine: cron in /app (process"},
		"another one":                 {set: engine.Release{Name: "shop"}, all: []is{app("cron")}, err: "the release shop does not run on the machine, but cron"},
		"one without a name":          {all: []is{app("")}, err: "names no release"},
		"one whose name is set":       {set: engine.Release{Name: "shop"}, all: []is{app("")}, want: shop},
		"one whose root is set":       {set: engine.Release{Root: "/srv"}, all: []is{app("shop")}, want: VM{Name: "shop", Root: "/srv"}},
		"two of the name that is set": {set: engine.Release{Name: "shop"}, all: []is{app("shop"), app("shop")}, err: "2 releases run"},
		"two of one name, root is set": {
			set: engine.Release{Root: "/srv"}, all: []is{app("shop"), in("/srv", "shop")}, want: VM{Name: "shop", Root: "/srv"},
		},
		"two of one name and another root is set": {set: engine.Release{Root: "/opt"}, all: []is{app("shop"), in("/srv", "shop")}, err: "2 releases run"},

		"of its user":                    {all: []is{of("1000", "drwxr-xr-x 6 1000 1000 4096 /app/")}, want: VM{Name: "shop", Root: "/app", PID: "7"}},
		"of root, files of another user": {all: []is{of("0", "drwxr-xr-x 6 1000 1000 4096 /app/")}, want: VM{Name: "shop", Root: "/app", PID: "7"}},
		"of a user, files of root":       {all: []is{of("1000", "drwxr-xr-x 6 0 0 4096 /app/")}, want: VM{Name: "shop", Root: "/app", PID: "7"}},
		"of a user, files of another":    {all: []is{of("1234", "drwxr-xr-x 6 1000 0 4096 /app/")}, err: "shop in /app (process 7 of user 1234) is not trusted: the folder belongs to user 1000"},
		"a folder of everybody's":        {all: []is{of("0", "drwxrwxrwx 6 0 0 4096 /app/")}, err: "everybody may write"},
		"no folder":                      {all: []is{of("1234", "")}, err: "does not exist"},
		"beside one that is not trusted": {all: []is{of("1234", folder), app("shop")}, want: shop},
		"beside one of another user's":   {all: []is{{VM: VM{Name: "shop", Root: "/tmp/x"}, user: "1234", folder: "drwxr-xr-x 6 1234 0 4096 /tmp/x/"}, app("shop")}, err: "user 1234"},
		"beside one of another user's, set": {
			set: engine.Release{Root: "/app"}, all: []is{{VM: VM{Name: "shop", Root: "/tmp/x"}, user: "65534", folder: folder}, app("shop")}, want: shop,
		},
	} {
		got, err := choose(test.set, test.all)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := choose(engine.Release{}, []is{of("1234", folder)}); !errors.Is(err, ErrNoVM) {
		t.Errorf("what is not trusted is no VM of the machine's: %v", err)
	}
}

// scripted answers every exec alike.
func scripted(out engine.Output) Exec {
	return func(context.Context, []string, string, time.Duration) (engine.Output, error) { return out, nil }
}

func TestAnswersAreNotTrusted(t *testing.T) {
	vm := VM{PID: "1", Start: "2", Root: "/app", Name: "app"}
	o := longOrder()
	rejection := engine.Output{Stdout: "Rejection([PayloadTooLarge])"}
	for _, test := range []struct {
		name string
		out  engine.Output
		want string
	}{
		{"a request that was too large", rejection, "PayloadTooLarge"},
		{"nothing", engine.Output{}, "answered nothing"},
		{"a secret", engine.Output{Stderr: "failed: " + o.TarballURL, ExitCode: 1}, "[redacted]"},
		{"another secret", engine.Output{Stderr: "failed: " + o.AgentURL, ExitCode: 1}, "[redacted]"},
		{"a foreign word", engine.Output{Stdout: "FLYDEPLOY1 dance\x1b[31m"}, "unexpected answer"},
		{"a foreign folder", engine.Output{Stdout: `FLYDEPLOY1 started {"id":"` + o.ID + `","dir":"/etc","boot":"1-2"}`}, "unexpected folder"},
		{"a cut answer", engine.Output{Stdout: `FLYDEPLOY1 started {"id":`}, "cut"},
		{"a refusal", engine.Output{Stdout: `FLYDEPLOY1 refused {"what":"no\u001b[31m"}`}, "no"},
		{"a cut marker", engine.Output{Stdout: "some warning\nFLYDEP"}, "cut"},
		{"a cut word", engine.Output{Stdout: "FLYDEPLOY1 start"}, "cut"},
		{"no program", engine.Output{Stdout: "FLYDEPLOY1 no_program"}, "/app/bin"},
	} {
		_, err := Inject(t.Context(), scripted(test.out), vm, o)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\x1b") || strings.Contains(err.Error(), "ffffffff") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	echo := func(_ context.Context, _ []string, stdin string, _ time.Duration) (engine.Output, error) {
		return engine.Output{Stderr: "start/2 was given " + stdin, ExitCode: 1}, nil
	}
	if _, err := Inject(t.Context(), echo, vm, o); err == nil || !strings.HasSuffix(err.Error(), "was given [redacted]") {
		t.Errorf("an order that is shown: %v", err)
	}
	if _, err := Inject(t.Context(), scripted(engine.Output{}), VM{Distribution: "none"}, o); err == nil || !strings.Contains(err.Error(), "without distribution") {
		t.Errorf("without distribution: %v", err)
	}
	if _, err := Discover(t.Context(), scripted(engine.Output{Stdout: "FLYDEPLOY1 begin\nFLYDEPLOY1 vm 1 2\n"}), engine.Release{}); !errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("a cut answer: %v", err)
	}
}

func TestOrdersAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Order){
		"id": func(o *Order) { o.ID = "../../etc" }, "sha256": func(o *Order) { o.SHA256 = "abc" }, "size": func(o *Order) { o.Size = 0 },
		"OTP application": func(o *Order) { o.OTPApp = "a; rm" }, "compiled agent": func(o *Order) { o.Agent.SHA256 = "" },
	} {
		o := longOrder()
		spoil(&o)
		if _, err := Inject(t.Context(), scripted(engine.Output{}), VM{}, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("an order without %s: %v", name, err)
		}
	}
}
