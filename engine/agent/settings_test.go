package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/release"
)

// configured is a copy of version 2 with settings, a native file, a link, and what an earlier version has left.
var configured = sync.OnceValues(func() (string, error) {
	root := filepath.Join(testFolder, "configured")
	if out, err := exec.Command("cp", "-a", releases[2], root).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	for name, text := range map[string]string{
		"releases/1.2.0/sys.config":        "%% coding: utf-8\n[{ledger, [{color, red}, {text, <<\"grün\"/utf8>>}]}, {logger, [{level, info}]}].\n",
		"releases/1.2.0/runtime.exs":       "import Config\nconfig :ledger, port: 8080, host: System.get_env(\"HOST\")\nconfig :ledger, Ledger.Account, [limit: 5]\nIO.puts(1)\n",
		"releases/1.2.0/vm.args":           "+hms 4000\n# none\n-name ledger\n",
		"releases/1.2.0/env.sh":            "#!/bin/sh\nexport RELEASE_MODE=interactive\nulimit -n 10\n",
		"lib/ledger-1.2.0/priv/nif.so":     "\x7fELF native",
		"lib/ledger-1.1.9/ebin/ledger.app": "{application, ledger, [{vsn, \"1.1.9\"}]}.", "lib/ledger-1.1.9/ebin/Elixir.Ledger.Gone.beam": "left over",
		"lib/dropped-1.0.0/ebin/dropped.app": "{application, dropped, [{vsn, \"1.0.0\"}]}.", "lib/dropped-1.0.0/priv/nif.so": "\x7fELF left over",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return root, os.Symlink("static/app.txt", filepath.Join(root, "lib/ledger-1.2.0/priv/link.txt"))
})

func configuredRelease(t *testing.T) (root string, made madeTarball) {
	t.Helper()
	root, err := configured()
	if err != nil {
		t.Fatal(err)
	}
	return root, tarballIn(t, "ledger", root)
}

// folderImage is an image with a release's folder at its root.
func folderImage(dir, root string) engine.ReadImage {
	return func(_ context.Context, _, folder string, _ func(done, total int64), file func(engine.ImageFile, io.Reader) error) (string, error) {
		if folder != root {
			return "", fmt.Errorf("asked for %s", folder)
		}
		return "sha256:" + strings.Repeat("0", 64), filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			name := strings.TrimPrefix(path, dir+"/")
			if err == nil && e.Type() == fs.ModeSymlink {
				to, _ := os.Readlink(path)
				return file(engine.ImageFile{Name: name, Link: filepath.Join(root, filepath.Dir(name), to)}, nil)
			}
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			content, err := os.Open(path)
			if err != nil {
				return err
			}
			defer content.Close()
			info, err := content.Stat()
			if err != nil {
				return err
			}
			return file(engine.ImageFile{Name: name, Size: info.Size()}, content)
		})
	}
}

// entriesOf gives what is in a tarball, by name.
func entriesOf(t *testing.T, body io.Reader) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries[h.Name] = string(content)
	}
}

// settingsOf gives the lines of settings in a tarball's manifest.
func settingsOf(t *testing.T, entries map[string]string) (lines []string) {
	t.Helper()
	for name, text := range entries {
		if strings.HasSuffix(name, "/flydeploy.manifest") {
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, settingMark) {
					lines = append(lines, strings.TrimSuffix(line, "\n"))
				}
			}
		}
	}
	if len(lines) < 5 {
		t.Fatalf("the manifest has the settings %q", lines)
	}
	return lines
}

// The console packs an image's release as a temporary machine does: neither has an entry, or a byte in one, that the other has not.
func TestTheConsolePacksWhatATemporaryMachinePacks(t *testing.T) {
	t.Parallel()
	root, made := configuredRelease(t)
	want := entriesOf(t, bytes.NewReader(made.bytes))
	for name, text := range want {
		if manifest := strings.HasSuffix(name, "/flydeploy.manifest"); strings.Contains(name, "-1.1.9/") || manifest && (strings.Contains(text, "-1.1.9/") || strings.Contains(text, "dropped")) {
			t.Errorf("what an earlier version has left is in the tarball: %s", name)
		}
	}
	r, err := release.Read(t.Context(), folderImage(root, "/app"), "registry.fly.io/ledger:v2", "/app", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	packed, err := r.Pack(t.Context(), "ledger", settingsOf(t, want), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if r.Version != made.Release || r.ERTS != made.ERTS || r.Elixir() != made.Elixir || packed.AppVersion != made.AppVersion || packed.Entries != made.Entries {
		t.Errorf("release %s, erts %s, Elixir %s, %s with %d entries; the machine tells %+v", r.Version, r.ERTS, r.Elixir(), packed.AppVersion, packed.Entries, made.Tarball)
	}
	if _, err := packed.File.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(packed.File)
	if err != nil || int64(len(body)) != packed.Size {
		t.Fatalf("%d of %d bytes: %v", len(body), packed.Size, err)
	}
	if names := tarNames(t, body); !slices.IsSorted(names) {
		t.Errorf("not sorted: %q", names)
	}
	got := entriesOf(t, bytes.NewReader(body))
	if !maps.Equal(got, want) {
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s differs:\n%.300q\nthe machine's:\n%.300q", name, got[name], want[name])
			}
			delete(got, name)
		}
		t.Errorf("more than the machine's: %q", slices.Collect(maps.Keys(got)))
	}
}

// readsSettings has the VM read another release's settings. What it tells is what that release's manifest has.
func (n *node) readsSettings(t *testing.T) {
	t.Helper()
	root, made := configuredRelease(t)
	texts := map[string]string{}
	for _, name := range SettingsFiles {
		text, err := os.ReadFile(filepath.Join(root, "releases", made.Release, name))
		if err == nil {
			texts[name] = string(text)
		}
	}
	want := settingsOf(t, entriesOf(t, bytes.NewReader(made.bytes)))
	s, err := ReadSettings(t.Context(), n.realExec, n.vm, texts)
	if err != nil || !slices.Equal(s.Lines, want) || s.OTP != made.OTP || s.ERTS != made.ERTS || s.Elixir != made.Elixir {
		t.Errorf("told %+v, not %q: %v", s, want, err)
	}
	// What does not fit into one request goes file by file.
	delete(texts, "runtime.exs")
	texts["env.sh"], texts["vm.args"] = incompressible(6000), incompressible(6000)
	if all, err := settingsRequest(n.vm, texts); err != nil || all.size() <= maxRequest {
		t.Fatalf("%d bytes fit into a request: %v", all.size(), err)
	}
	same := slices.DeleteFunc(want, func(line string) bool { return !strings.Contains(line, " sys.config ") })
	parts, err := ReadSettings(t.Context(), n.realExec, n.vm, texts)
	others := slices.DeleteFunc(slices.Clone(parts.Lines), func(line string) bool { return slices.Contains(same, line) })
	if err != nil || !slices.IsSorted(parts.Lines) || len(same) == 0 || len(others) != 2 || len(parts.Lines) != len(same)+2 {
		t.Errorf("file by file: %+v, as before %q: %v", parts, same, err)
	}
	texts["env.sh"] = incompressible(90_000)
	if _, err := ReadSettings(t.Context(), n.realExec, n.vm, texts); engine.AsProblem(err).Name != "settings_too_large" || !strings.Contains(err.Error(), "env.sh") {
		t.Errorf("too large a file: %v", err)
	}
}

// incompressible gives a line of a script that does not become much smaller: n hex digits.
func incompressible(n int) string {
	bytes := make([]byte, n/2)
	_, _ = rand.Read(bytes)
	return "export NOISE=" + hex.EncodeToString(bytes) + "\n"
}
