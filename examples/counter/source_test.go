package counter

import (
	"io/fs"
	"os"
	"testing"
)

// Whoever has only the binary must get everything that mix needs, and nothing that was built here.
func TestSourceIsComplete(t *testing.T) {
	for _, file := range []string{
		"mix.exs", ".formatter.exs", "rel/env.sh.eex", "rel/vm.args.eex", "versions/v1/application.ex",
		"priv/static/index.html", "versions/v1/server.ex", "versions/v2/milestone.ex", "versions/v3/priv/static/version.txt", "versions/v4/best.ex",
	} {
		if _, err := fs.Stat(Source(), file); err != nil {
			t.Error(err)
		}
	}
	if _, err := fs.Stat(Source(), "_build"); err == nil {
		t.Error("built files are part of the source")
	}
}

func TestWriteToRefusesToOverwrite(t *testing.T) {
	dir := t.TempDir()
	if err := WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	want, err := fs.ReadFile(Source(), "mix.exs")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir + "/mix.exs"); err != nil || string(got) != string(want) {
		t.Errorf("mix.exs was not written as it is: %v", err)
	}
	if err := WriteTo(dir); err == nil {
		t.Error("a second write into the same folder succeeded")
	}
}
