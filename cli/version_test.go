package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, info := range map[string]*debug.BuildInfo{
		"1.2.3":                  {Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{revision}},
		"1.2.3-rc.1":             {Main: debug.Module{Version: "v1.2.3-rc.1"}},
		"1.2.3+dirty":            {Main: debug.Module{Version: "v1.2.3+dirty"}, Settings: []debug.BuildSetting{revision, modified}},
		"dev":                    {Main: debug.Module{Version: "(devel)"}},
		"dev-0123456789ab":       {Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision}},
		"dev-0123456789ab-dirty": {Settings: []debug.BuildSetting{revision, modified}},
		"dev-abcdef012345":       {Main: debug.Module{Version: "v0.0.0-20260101000000-abcdef012345"}, Settings: []debug.BuildSetting{revision}},
		"dev-abcdef012345-dirty": {Main: debug.Module{Version: "v1.2.4-0.20260101000000-abcdef012345+dirty"}},
	} {
		if got := versionOf(info, true); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := versionOf(nil, false); got != "dev" {
		t.Errorf("without information: %s", got)
	}
}
