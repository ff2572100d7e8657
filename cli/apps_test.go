package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui"
)

func TestTheAppsThatWereOpenedLast(t *testing.T) {
	o := opened{filepath.Join(t.TempDir(), "flydeploy", "apps.json")}
	if when := o.read(); len(when) != 0 {
		t.Errorf("%v", when)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range maxOpened + 3 {
		o.add(fmt.Sprintf("app-%d", i), at.Add(time.Duration(i)*time.Minute))
	}
	when := o.read()
	if _, there := when["app-2"]; there || len(when) != maxOpened || !when["app-52"].Equal(at.Add(52*time.Minute)) {
		t.Errorf("%d are remembered: %v", len(when), when)
	}
	if err := os.WriteFile(o.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.add("again", at)
	if when := o.read(); len(when) != 1 {
		t.Errorf("%v", when)
	}
	opened{}.add("nowhere", at)
}

// Nothing of this folder's app is done to another one: neither its settings, nor hooks, nor a build of its code.
func TestAnotherAppsConsoleHasNothingOfThisFolder(t *testing.T) {
	d, err := load(t, map[string]string{
		"fly.toml": "app = \"shop\"\n[env]\nA = \"1\"\n", "flydeploy.toml": "bucket = \"shops\"\notp_app = \"shop\"\n[hooks]\nplanned = \"true\"\n",
	}, "--image", "registry.fly.io/shop:x", "--skip-build", "--theme", "light", "--read-only")
	if err != nil {
		t.Fatal(err)
	}
	if same := d.forApp("shop", "shop"); same.foreign || same.bucket != "shops" {
		t.Errorf("%+v", same)
	}
	other := d.forApp("admin", "shop")
	if err := other.load(rootCommand(newInterrupts())); err != nil {
		t.Fatal(err)
	}
	if other.name != "admin" || !other.foreign || other.bucket != "" || other.otpApp != "" || len(other.temporary.Env) > 0 || other.engine.Image != "" || other.theme != "light" || !other.readOnly {
		t.Errorf("%+v", other)
	}
	// What the command line says of another app is not meant for this folder's: `flydeploy -a admin --image …`, then `:app shop`.
	d.name = "admin"
	if here := d.forApp("shop", "shop"); here.foreign || here.engine.Image != "" || here.skipBuild || here.changed(rootCommand(newInterrupts()))("image") {
		t.Errorf("%+v", here)
	}
	t.Setenv("FLY_ACCESS_TOKEN", "fo1_x")
	c, err := connectDeploy(other, newInterrupts())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.build(t.Context(), func(string) {}); engine.AsProblem(err).Name != "foreign_folder" || c.cold != nil {
		t.Errorf("it builds: %v", err)
	}
	if s := other.source(); !strings.Contains(s, "nothing") {
		t.Error(s)
	}
}

// What is wrong in console.toml is told by the first console of a run, not by those of apps that were chosen in it.
func TestWhatIsWrongIsToldOnce(t *testing.T) {
	d := deploySettings{screenSettings: screenSettings{wrong: []string{"console.toml:7: there is no action dploy"}}}
	d.name = "shop"
	if o := d.screen(tui.Options{}); o.WrongTold || len(o.Wrong) != 1 || len(inWords(rootCommand(newInterrupts()), o).Wrong) != 1 {
		t.Errorf("the first console does not tell it: %+v", o)
	}
	for _, app := range []string{"shop", "admin"} {
		next := d.forApp(app, "shop")
		o := next.screen(tui.Options{})
		if !o.WrongTold || len(o.Wrong) != 1 || len(inWords(rootCommand(newInterrupts()), o).Wrong) != 0 {
			t.Errorf("%s's console tells it again: %+v", app, o)
		}
	}
}

func TestWhatIsNeededWithoutAToken(t *testing.T) {
	t.Setenv("FLY_ACCESS_TOKEN", "")
	t.Setenv("FLY_API_TOKEN", "")
	t.Setenv("FLY_CONFIG_DIR", t.TempDir())
	needed := func() (steps []engine.SetupStep) {
		setup(t.Context(), "shop", nil, func(all []engine.SetupStep) { steps = all })
		return steps
	}
	steps := needed()
	if len(steps) != 3 || steps[0].Status != engine.StatusFailed || steps[1].Status != engine.StatusUnknown || steps[0].Commands[0] != "fly auth login" ||
		steps[1].Commands[0] != "fly storage create -a shop -n shop-releases" {
		t.Errorf("%+v", steps)
	}
	t.Setenv("FLY_API_TOKEN", "fo1_secret")
	if steps := needed(); steps[0].Status != engine.StatusDone || strings.Contains(fmt.Sprint(steps), "fo1_secret") {
		t.Errorf("%+v", steps)
	}
}
