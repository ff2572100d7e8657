package rehearse

import (
	"fmt"
	"strings"
	"testing"
)

// Of a boot that has failed the exception is shown, which Erlang's reports push far up, and the end.
func TestTheLinesThatTellMost(t *testing.T) {
	var report strings.Builder
	for n := range 40 {
		fmt.Fprintf(&report, "report %d\r\n\n", n)
	}
	const exception = "ERROR! Config provider Config.Reader failed with:\n** (RuntimeError) environment variable DATABASE_URL is missing.\nFor example: ecto://USER:PASS@HOST/DATABASE\n"
	got := telling("starting\n" + exception + report.String())
	lines := strings.Split(got, "\n")
	if len(lines) != logShown+1 || lines[0] != "  ** (RuntimeError) environment variable DATABASE_URL is missing." || lines[1] != "  For example: ecto://USER:PASS@HOST/DATABASE" ||
		lines[reasonShown] != "  …" || lines[reasonShown+1] != "  report 28" || lines[logShown] != "  report 39" {
		t.Errorf("%d lines:\n%s", len(lines), got)
	}
	if found := lacksVariable.FindStringSubmatch(exception); found == nil || found[1] != "DATABASE_URL" {
		t.Errorf("it lacks %q", found)
	}
	if found := lacksVariable.FindStringSubmatch(`** (System.EnvError) could not fetch environment variable "POOL_SIZE" because it is not set`); found == nil || found[1] != "POOL_SIZE" {
		t.Errorf("it lacks %q", found)
	}
	for says, want := range map[string]string{
		"":                        "",
		exception:                 "  ERROR!",
		report.String():           "  report 20\n",
		strings.Repeat("x", 5000): "  xxx",
	} {
		if got := telling(says); !strings.HasPrefix(got, want) || strings.Count(got, "\n") >= logShown || len(got) > logShown*(widest+3) {
			t.Errorf("%.30q:\n%.200s", says, got)
		}
	}
	if got := withoutBytes(`{#{message=><<101,110,118,105,114,111,110,109>>},<<1,2>>}`); got != `{#{message=><<…>>},<<1,2>>}` {
		t.Error(got)
	}
}
