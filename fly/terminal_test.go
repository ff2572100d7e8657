package fly_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/fly"
)

// opened runs a terminal, and gives what its output was.
func opened(t *testing.T, terminal *fly.Terminal, err error) (string, error) {
	t.Helper()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = terminal.Run(strings.NewReader("typed\n"), &out, &out)
	return out.String(), err
}

// flyOnPath has a script be the only fly there is.
func flyOnPath(t *testing.T, script string) {
	t.Helper()
	flyctl(t, script)
	t.Setenv("PATH", filepath.Dir(os.Getenv("FLYCTL"))+":/bin:/usr/bin")
	t.Setenv("FLYCTL", "")
}

func TestTerminalsAreOpenedByFly(t *testing.T) {
	flyOnPath(t, `for a in "$@"; do printf '<%s>' "$a"; done; read -r line; echo " $line, <$FLY_ACCESS_TOKEN> <$FLY_API_TOKEN> <$FLYDEPLOY_SIGNING_KEY>"`)
	t.Setenv("FLY_API_TOKEN", "of the shell")
	t.Setenv("FLYDEPLOY_SIGNING_KEY", "secret")
	app := fly.Terminals{App: "shop", Token: "ours"}
	shell, err := app.Shell(t.Context(), "148e00026c1eef", "")
	if out, err := opened(t, shell, err); err != nil || out != "<ssh><console><-a><shop><--machine><148e00026c1eef> typed, <ours> <> <>\n" {
		t.Errorf("%q, %v", out, err)
	}
	shell, err = app.Shell(t.Context(), "148e00026c1eef", "web")
	if out, err := opened(t, shell, err); err != nil || !strings.HasPrefix(out, "<ssh><console><-a><shop><--machine><148e00026c1eef><--container><web> ") {
		t.Errorf("%q, %v", out, err)
	}
	iex, err := app.IEx(t.Context(), "148e00026c1eef", "", "/app", "shop_web")
	if out, err := opened(t, iex, err); err != nil || !strings.Contains(out, "<148e00026c1eef><--pty><-C></app/bin/shop_web remote> typed, <ours>") {
		t.Errorf("%q, %v", out, err)
	}
	if says := iex.String(); says != `fly ssh console -a shop --machine 148e00026c1eef --pty -C "/app/bin/shop_web remote"` {
		t.Error(says)
	}
	theirs, err := fly.Terminals{App: "shop"}.Shell(t.Context(), "148e00026c1eef", "")
	if out, err := opened(t, theirs, err); err != nil || !strings.Contains(out, "<of the shell>") {
		t.Errorf("%q, %v", out, err)
	}
}

// Names are others' words: what could be an option, or something else to a shell, is not handed on.
func TestTerminalsRefuseUnsafeNames(t *testing.T) {
	flyOnPath(t, "echo opened")
	app := fly.Terminals{App: "shop"}
	for _, machine := range []string{"", "-C", "a b", "../a", "148e;id", "148e\n", "148E"} {
		if _, err := app.Shell(t.Context(), machine, ""); err == nil || engine.AsProblem(err).Name != "unsafe_name" {
			t.Errorf("machine %q: %v", machine, err)
		}
	}
	for _, container := range []string{"-x", "a b", "$(id)"} {
		if _, err := app.Shell(t.Context(), "148e", container); err == nil || engine.AsProblem(err).Name != "unsafe_name" {
			t.Errorf("container %q: %v", container, err)
		}
	}
	for _, release := range [][2]string{{"", "shop"}, {"app", "shop"}, {"/app", ""}, {"/app", "-x"}, {"/app", "a b"}, {"/app", "../x"}, {"/a/../b", "shop"}, {"/app;id", "shop"}, {"/app", "$(id)"}, {"/app", "a/b"}, {"/a\n", "b"}} {
		if _, err := app.IEx(t.Context(), "148e", "", release[0], release[1]); err == nil || engine.AsProblem(err).Name != "unsafe_name" {
			t.Errorf("release %q: %v", release, err)
		}
	}
	for _, name := range []string{"", "-a", "Shop", "a b"} {
		if _, err := (fly.Terminals{App: name}).Shell(t.Context(), "148e", ""); err == nil || engine.AsProblem(err).Name != "unsafe_name" {
			t.Errorf("app %q: %v", name, err)
		}
	}
}

func TestTerminalsThatCannotBe(t *testing.T) {
	app := fly.Terminals{App: "shop", Token: "secret"}
	open := func(iex bool) error {
		terminal, err := app.Shell(t.Context(), "148e", "")
		if iex {
			terminal, err = app.IEx(t.Context(), "148e", "", "/app", "shop")
		}
		_, err = opened(t, terminal, err)
		return err
	}
	for name, try := range map[string]struct {
		script      string
		iex         bool
		named, says string // "": no error
	}{
		"the last command of a shell failed": {`echo 'Error: ssh shell: Process exited with status 127' >&2; exit 1`, false, "", ""},
		"there is no such release":           {`echo 'Error: ssh shell: Process exited with status 127' >&2; exit 1`, true, "no_terminal", "/app/bin/shop remote\"` ended with exit status 1: Error: ssh shell"},
		"no access":                          {`printf 'Connecting...\r\033[31mError: get app: unauthorized\033[0m\n' >&2; exit 1`, false, "no_terminal", "--machine 148e` ended with exit status 1: Error: get app: unauthorized"},
		"killed":                             {`kill -9 $$`, false, "no_terminal", "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			flyOnPath(t, try.script)
			switch err := open(try.iex); {
			case try.named == "" && err == nil:
			case try.named == "" || engine.AsProblem(err).Name != try.named || !strings.Contains(err.Error(), try.says) || strings.Contains(err.Error(), "secret"):
				t.Errorf("%v", err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if err := open(false); engine.AsProblem(err).Name != "no_flyctl" || !strings.Contains(engine.AsProblem(err).Remedy, "Install flyctl") || strings.Contains(engine.AsProblem(err).Remedy, "--image") {
		t.Errorf("%+v", engine.AsProblem(err))
	}
	t.Setenv("FLYCTL", filepath.Join(t.TempDir(), "none"))
	if err := open(false); engine.AsProblem(err).Name != "no_flyctl" || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

// What was opened ends with the console.
func TestTerminalsEndWithTheirContext(t *testing.T) {
	flyOnPath(t, `echo there; exec sleep 600`)
	ctx, cancel := context.WithCancel(t.Context())
	terminal, err := fly.Terminals{App: "shop"}.Shell(ctx, "148e", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := terminal.Run(nil, writes(func(string) { cancel() }), writes(func(string) {})); err == nil {
		t.Error("no error")
	}
}

type writes func(string)

func (w writes) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }
