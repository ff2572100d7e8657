package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"flydeploy/tui"
)

// screenOf are the settings of a console with a console.toml and a command line.
func screenOf(t *testing.T, file string, args ...string) screenSettings {
	t.Helper()
	s := defaultDeploy().screenSettings
	cmd := &cobra.Command{Args: cobra.NoArgs}
	s.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	s.complete(parseConsoleFile("c.toml", []byte(file)), cmd.Flags().Changed)
	return s
}

const wholeFile = `
skin = "high-contrast"
theme = "light"
ascii = true
accessible = true
mouse = false
bell = false

[keys]
deploy = "u"
look = ["ctrl-l", "f5"]

[fleet]
columns = ["machine", "state", "drift"]
`

func TestTheCommandLineWinsOverConsoleToml(t *testing.T) {
	s := screenOf(t, wholeFile)
	if s.skin != "high-contrast" || s.theme != "light" || !s.ascii || !s.accessible || !s.noMouse || !s.noBell || s.wrong != nil ||
		!reflect.DeepEqual(s.bindings, tui.Keys{"deploy": {"u"}, "look": {"ctrl-l", "f5"}}) || !reflect.DeepEqual(s.columns, tui.Columns{"machine", "state", "drift"}) {
		t.Errorf("%+v", s)
	}
	o := s.screen(tui.Options{App: "shop"})
	if o.App != "shop" || o.Skin != "high-contrast" || o.Theme != "light" || !o.ASCII || !o.NoMouse || !o.NoBell || o.Keys["deploy"][0] != "u" || len(o.Columns) != 3 {
		t.Errorf("%+v", o)
	}
	s = screenOf(t, wholeFile, "--skin=mono", "--theme=dark", "--ascii=false", "--accessible=false", "--no-mouse=false", "--no-bell=false")
	if s.skin != "mono" || s.theme != "dark" || s.ascii || s.accessible || s.noMouse || s.noBell {
		t.Errorf("%+v", s)
	}
	got := map[string]tui.Setting{}
	for _, setting := range screenOf(t, wholeFile, "--skin=mono", "--no-bell").settings {
		got[setting.Name] = setting
	}
	for _, want := range []tui.Setting{
		{Name: "skin", Value: "mono", From: "command line"}, {Name: "theme", Value: "light", From: "console.toml"}, {Name: "bell", Value: "no", From: "command line"},
		{Name: "mouse", Value: "no", From: "console.toml"}, {Name: "keys", Value: "deploy u, look ctrl-l or f5", From: "console.toml"}, {Name: "file", Value: "c.toml", From: "read"},
	} {
		if got[want.Name] != want {
			t.Errorf("%+v, want %+v", got[want.Name], want)
		}
	}
	s = defaultDeploy().screenSettings
	s.complete(consoleFile{}, func(string) bool { return false })
	if s.skin != "default" || s.theme != "auto" || s.ascii || s.noMouse || s.settings[0].From != "default" || s.settings[4].Value != "yes" {
		t.Errorf("%+v", s)
	}
	if err := (&screenSettings{theme: "auto", skin: "neon"}).check(); err == nil || !strings.Contains(err.Error(), "--skin is one of default, high-contrast,") {
		t.Error(err)
	}
}

// What cannot be is told with its line, and the rest holds.
func TestWhatConsoleTomlSaysThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		file  string
		wrong []string
		holds func(consoleFile) bool
	}{
		"an unknown setting": {"skin = 'mono'\nbel = false\n[fleet]\ncolour = 1\n", []string{"c.toml:2: there is no setting bel; the settings are skin,", "c.toml:4: there is no setting fleet.colour"},
			func(f consoleFile) bool { return f.Skin == "mono" }},
		"an unknown skin":   {"bell = false\n\nskin = 'neon'\n", []string{`c.toml:3: there is no skin "neon"; the skins are default, high-contrast,`}, func(f consoleFile) bool { return f.Skin == "" && f.Bell != nil }},
		"an unknown theme":  {"theme = 'neon'\n", []string{`c.toml:1: there is no theme "neon"; the themes are auto, dark, light`}, func(f consoleFile) bool { return f.Theme == "" }},
		"an unknown action": {"skin = 'mono'\n[keys]\nmark = 'm'\ndploy = 'u'\n", []string{"c.toml:4: there is no action dploy"}, func(f consoleFile) bool { return f.Skin == "mono" && f.keys == nil }},
		"an unknown key":    {"[keys]\n# a remark\n'deploy' = 'hyper-u'\n", []string{`c.toml:3: deploy cannot be "hyper-u": no key is called so`}, func(f consoleFile) bool { return f.keys == nil }},
		"a conflict":        {"keys.deploy = 'r'\n", []string{"c.toml:1: r is both deploy and record"}, func(f consoleFile) bool { return f.keys == nil }},
		"no key at all":     {"[keys]\ndeploy = 3\nmark = ['m', 4]\n", []string{"c.toml:2: deploy must be a key", "c.toml:3: mark must be a key"}, func(f consoleFile) bool { return f.keys == nil }},
		"an unknown column": {"accessible = true\nfleet.columns = ['machine', 'mem']\n", []string{"c.toml:2: there is no column mem; the columns are state,"}, func(f consoleFile) bool { return f.Fleet.Columns == nil && *f.Accessible }},
		"another type":      {"skin = 'mono'\nbell = 'no'\n", []string{"c.toml:2: bell: must be of type bool, not string"}, func(f consoleFile) bool { return f.Skin == "" }},
		"no TOML":           {"skin = 'mono'\n\nbell = \n", []string{"c.toml:3: "}, func(f consoleFile) bool { return f.Skin == "" && f.there }},
	} {
		t.Run(name, func(t *testing.T) {
			f := parseConsoleFile("c.toml", []byte(test.file))
			if len(f.wrong) != len(test.wrong) || !test.holds(f) {
				t.Fatalf("%q, %+v", f.wrong, f)
			}
			for i, want := range test.wrong {
				if !strings.HasPrefix(f.wrong[i], want) {
					t.Errorf("%q, want %q", f.wrong[i], want)
				}
			}
		})
	}
}

func TestWhereConsoleTomlIs(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for config, want := range map[string]string{
		"": filepath.Join(home, ".config/flydeploy/console.toml"), "/etc/mine": "/etc/mine/flydeploy/console.toml", "relative": filepath.Join(home, ".config/flydeploy/console.toml"),
	} {
		if got := consolePath(func(string) string { return config }); got != want {
			t.Errorf("%q: %s, want %s", config, got, want)
		}
	}
	path := filepath.Join(home, "console.toml")
	if f := readConsoleFile(path); f.there || f.wrong != nil || f.path != path {
		t.Errorf("%+v", f)
	}
	if err := os.WriteFile(path, []byte("\xef\xbb\xbfskin = 'mono'"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := readConsoleFile(path); !f.there || f.Skin != "mono" {
		t.Errorf("%+v", f)
	}
	if f := readConsoleFile(home); !f.there || len(f.wrong) != 1 {
		t.Errorf("a folder: %+v", f)
	}
}
