package tui

import (
	"testing"

	"flydeploy/tui/cells"
)

func someSettings() []Setting {
	keys := Keys{"deploy": {"u"}, "look": {"ctrl-l", "f5"}}
	return []Setting{
		{"skin", "high-contrast", "console.toml"}, {"theme", "dark", "command line"}, {"mouse", "yes", "default"}, {"columns", "", "default"},
		{"keys", keys.String(), "console.toml"}, {"file", "/home/ada/.config/flydeploy/console.toml", "read"},
	}
}

func TestSettingsScreen(t *testing.T) {
	everySize(t, Options{Settings: someSettings(), Skin: cells.HighContrast}, func(b *bench) {
		b.sees(6)
		b.keys(":")
		b.types("settings")
		b.keys("enter")
		b.golden()
	})
}

// What is wrong in the operator's settings is told at once and in full, and the console goes on.
func TestWrongSettings(t *testing.T) {
	wrong := []string{
		"/home/ada/.config/flydeploy/console.toml:7: there is no action dploy; help (?) names them after tab, tab",
		"/home/ada/.config/flydeploy/console.toml:12: there is no column mem; the columns are state, machine, name, region, group, checks, runs, image, host, memory, busy, processes, crashes, told, drift",
	}
	everySize(t, Options{Settings: someSettings(), Wrong: wrong}, func(b *bench) {
		b.Init()
		b.sees(6)
		b.golden()
		b.keys("enter")
		b.shows("deploy all")
		b.keys(":")
		b.types("settings")
		b.keys("enter")
		b.shows("console.toml:7: there")
	})
}

// The console of the next app, chosen by :app, does not tell it again; :settings still does.
func TestWrongSettingsAreToldOnce(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Settings: someSettings(), Wrong: []string{"console.toml:7: there is no action dploy"}, WrongTold: true})
	b.Init()
	b.sees(6)
	if b.dialog != nil {
		t.Error("it is told again")
	}
	b.keys(":")
	b.types("settings")
	b.keys("enter")
	b.shows("console.toml:7: there is no action dploy")
}

func TestSettingsTellWhatWasChosenSince(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{Settings: someSettings(), Skin: cells.HighContrast})
	b.sees(6)
	b.keys(":")
	b.types("skin mono")
	b.keys("enter", ":")
	b.types("settings")
	b.keys("enter")
	b.shows("mono (console.toml: high-contrast)", "theme      dark (command line)")
}
