package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What `make dist` makes for this computer: an archive whose binary runs, with completions that their shell reads and a page for each
// command, what it is made of, and checksums that fit.
func TestDist(t *testing.T) {
	t.Chdir("../..") // as make runs it
	flags, env := buildFlags, buildEnv
	t.Cleanup(func() { buildFlags, buildEnv = flags, env })
	buildFlags, buildEnv = nil, nil // from what other tests have compiled
	out := filepath.Join(t.TempDir(), "out")
	if err := makeAll(t.Context(), out, []string{runtime.GOOS + "/" + runtime.GOARCH}); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		files[entry.Name()], _ = os.ReadFile(filepath.Join(out, entry.Name()))
	}
	checkSums(t, files)
	checkInstall(t, out)
	for name, body := range files {
		switch {
		case strings.HasSuffix(name, ".tar.gz"):
			checkArchive(t, strings.TrimSuffix(name, ".tar.gz"), body)
		case strings.HasSuffix(name, ".cdx.json"):
			checkParts(t, body)
		}
	}
}

// checkInstall runs the step of the example for CI that installs flydeploy, with the archives in this folder: its binary is in PATH then.
func checkInstall(t *testing.T, out string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil || runtime.GOOS != "linux" {
		return // it is written for GitHub's runner
	}
	text, err := os.ReadFile("examples/ci/github.yml")
	var workflow struct {
		Env struct {
			Archive string `yaml:"ARCHIVE"`
		}
		Jobs struct {
			Fly struct{ Steps []struct{ Name, Run string } }
		}
	}
	if err == nil {
		err = yaml.Unmarshal(text, &workflow)
	}
	if err != nil {
		t.Fatal(err)
	}
	archives, _ := filepath.Glob(filepath.Join(out, "*.tar.gz"))
	name := strings.TrimSuffix(filepath.Base(archives[0]), ".tar.gz")
	if parts := strings.Split(workflow.Env.Archive, "_"); len(parts) != len(strings.Split(name, "_")) || parts[0] != "flydeploy" || parts[2] != "linux" {
		t.Errorf("the example takes %s, where an archive is %s", workflow.Env.Archive, name)
	}
	step := slices.IndexFunc(workflow.Jobs.Fly.Steps, func(s struct{ Name, Run string }) bool { return s.Name == "Install flydeploy" })
	temp := t.TempDir()
	cmd := exec.Command("bash", "-e", "-c", workflow.Jobs.Fly.Steps[step].Run+`PATH="$(cat "$GITHUB_PATH"):$PATH" flydeploy --version`)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "FLYDEPLOY=file://"+out, "ARCHIVE="+name, "RUNNER_TEMP="+temp, "GITHUB_PATH="+filepath.Join(temp, "path"))
	if said, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(said), "flydeploy version ") {
		t.Errorf("installed as in the example for CI: %v\n%s", err, said)
	}
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(files[sums])), "\n")
	if len(lines) != 2 || len(files) != 3 {
		t.Fatalf("%d files, and the sums\n%s", len(files), files[sums])
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		if got := sha256.Sum256(files[name]); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s has another checksum than %s", name, sum)
		}
	}
}

func checkArchive(t *testing.T, name string, body []byte) {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		below, ok := strings.CutPrefix(header.Name, name+"/")
		if !ok {
			t.Errorf("%s lies beside the folder", header.Name)
		}
		path := filepath.Join(dir, below)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(archive)
		if err := os.WriteFile(path, content, header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
	}
	said, err := exec.Command(filepath.Join(dir, "flydeploy"), "--version").Output()
	version := strings.TrimSpace(strings.TrimPrefix(string(said), "flydeploy version "))
	if err != nil || version == "" || !strings.HasPrefix(name, "flydeploy_"+version+"_") {
		t.Errorf("the binary of %s says %q, %v", name, said, err)
	}
	if said, err := exec.Command("bash", "-n", filepath.Join(dir, "completions", "flydeploy.bash")).CombinedOutput(); err != nil {
		t.Errorf("bash does not read its completion: %s", said)
	}
	for path, holds := range map[string]string{
		"README.md":                       "# flydeploy",
		"completions/_flydeploy":          "#compdef flydeploy",
		"completions/flydeploy.fish":      "flydeploy",
		"man/man1/flydeploy.1":            "flydeploy-lock(1)",
		"man/man1/flydeploy-hot.1":        "--dry-run",
		"man/man1/flydeploy-lock-show.1":  version,
		"man/man1/flydeploy-completion.1": "",
	} {
		content, err := os.ReadFile(filepath.Join(dir, path))
		if holds == "" {
			if err == nil {
				t.Errorf("%s is a page about cobra's own command", path)
			}
		} else if !strings.Contains(strings.ReplaceAll(string(content), `\-`, "-"), holds) {
			t.Errorf("%s lacks %q, %v", path, holds, err)
		}
	}
}

func checkParts(t *testing.T, body []byte) {
	t.Helper()
	var got bill
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, c := range got.Components {
		versions[c.Name] = c.Version
	}
	if got.Format != "CycloneDX" || versions["std"] == "" || versions["github.com/spf13/cobra"] == "" || versions["honnef.co/go/tools"] != "" {
		t.Errorf("it is made of %v", versions)
	}
}

func TestParts(t *testing.T) {
	b := built{version: "1.2.3+dirty", info: &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "flydeploy"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "4f2c91a"}, {Key: "-ldflags", Value: "-s -w"}},
		Deps: []*debug.Module{
			{Path: "github.com/BurntSushi/toml", Version: "v1.4.1", Sum: "h1:abc="},
			{Path: "a.test/b", Version: "v1.0.0", Replace: &debug.Module{Path: "a.test/c", Version: "v2.0.0+incompatible"}},
		},
	}}
	got := parts(b)
	if p := got.Metadata.Component.Properties; len(p) != 1 || p[0] != (property{"go:build:vcs.revision", "4f2c91a"}) {
		t.Errorf("the program has %v", p)
	}
	var purls []string
	for _, c := range got.Components {
		purls = append(purls, c.PURL)
	}
	want := "pkg:golang/std@1.26.8 pkg:golang/github.com/burntsushi/toml@v1.4.1 pkg:golang/a.test/c@v2.0.0%2Bincompatible"
	if strings.Join(purls, " ") != want || got.Components[1].Properties[0].Value != "h1:abc=" {
		t.Errorf("the parts are %v", got.Components)
	}
}
