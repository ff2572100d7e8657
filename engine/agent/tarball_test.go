package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// newMachine is a temporary machine: a release on its disk, no VM.
func TestTarballHasTheSeedsLayoutAndIsReproducible(t *testing.T) {
	t.Parallel()
	made := tarballOf(t, 2)
	if sum := sha256.Sum256(made.bytes); made.SHA256 != hex.EncodeToString(sum[:]) || made.Size != int64(len(made.bytes)) {
		t.Errorf("told %s of %d bytes", made.SHA256, made.Size)
	}
	if made.AppVersion != "1.2.0" || made.Release != "1.2.0" || made.Elixir == "" || made.OTP == "" || made.ERTS == "" {
		t.Errorf("told %+v", made.Tarball)
	}
	names := tarNames(t, made.bytes)
	if made.Entries != len(names) || made.Beams == 0 || !slices.IsSorted(names) {
		t.Errorf("%d of %d entries, sorted: %v", made.Entries, len(names), slices.IsSorted(names))
	}
	for _, want := range []string{
		"lib/ledger-1.2.0/ebin/Elixir.Ledger.Account.beam", "lib/ledger-1.2.0/ebin/ledger.app", "lib/ledger-1.2.0/priv/static/app.txt",
		"releases/1.2.0/consolidated/Elixir.Ledger.Show.beam",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s", want)
		}
	}
	// The code of OTP and Elixir is not in it: machines would download and inflate it for nothing.
	if len(names) > 100 || !slices.ContainsFunc(names, isAppFileOf("elixir")) || !slices.ContainsFunc(names, isAppFileOf("kernel")) {
		t.Errorf("entries: %q", names)
	}
	if again := makeTarball(t, "ledger", releases[2]); again.SHA256 != made.SHA256 {
		t.Error("the same release gives other bytes the second time")
	}
}

func isAppFileOf(app string) func(string) bool {
	return func(name string) bool {
		return strings.HasPrefix(name, "lib/"+app+"-") && strings.HasSuffix(name, "/ebin/"+app+".app")
	}
}

func tarNames(t *testing.T, body []byte) []string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 || h.Typeflag != tar.TypeReg {
			t.Errorf("%s has an owner, a time, or another type: %+v", h.Name, h)
		}
		names = append(names, h.Name)
	}
}

func TestTarballOfNoRelease(t *testing.T) {
	t.Parallel()
	machine := newMachine(t)
	id := newJobID(t)
	if _, err := MakeTarball(t.Context(), machine.exec, id, t.TempDir(), "ledger", false, nil); err == nil || !strings.Contains(err.Error(), "no release") {
		t.Errorf("no release: %v", err)
	}
	if _, err := MakeTarball(t.Context(), machine.exec, id, releases[2], "other", false, nil); err == nil || !strings.Contains(err.Error(), "no application other") {
		t.Errorf("another application: %v", err)
	}
}

// A process that dies, for want of memory as a rule, is an answer too.
func TestTarballWhoseProcessDies(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rel := filepath.Join(root, "releases", "1")
	if err := os.MkdirAll(rel, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"../start_erl.data": "1 1", "elixir": "#!/bin/sh\necho out of memory >&2\nexit 137\n"} {
		if err := os.WriteFile(filepath.Join(rel, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	id := newJobID(t)
	_, err := MakeTarball(t.Context(), newMachine(t).exec, id, root, "ledger", false, nil)
	if err == nil || !strings.Contains(err.Error(), "process ended") || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("a process that dies: %v", err)
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	machine := newMachine(t)
	id := newJobID(t)
	made, err := MakeTarball(t.Context(), machine.exec, id, releases[1], "ledger", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		got, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	var done, total int64
	status, err := UploadTarball.Send(t.Context(), machine.exec, id, releases[1], server.URL+"/b/k?sig="+urlSecret,
		map[string]string{"Host": "x", "Content-Length": "1", "If-None-Match": "*", "X-Amz-Meta-Sha256": made.SHA256}, "",
		func(d, t int64) { done, total = d, t })
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != made.SHA256 {
		t.Errorf("%d bytes arrived", len(got))
	}
	if header.Get("If-None-Match") != "*" || header.Get("X-Amz-Meta-Sha256") != made.SHA256 {
		t.Errorf("headers: %v", header)
	}
	if total != 0 && total != made.Size || done > total {
		t.Errorf("progress: %d of %d", done, total)
	}
}

func TestUploadThatIsRefused(t *testing.T) {
	t.Parallel()
	machine := newMachine(t)
	id := newJobID(t)
	if err := os.Mkdir(jobDir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(jobDir(id), "upgrade.tar.gz"), []byte("tarball"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the key exists", http.StatusPreconditionFailed)
	}))
	defer server.Close()
	status, err := UploadTarball.Send(t.Context(), machine.exec, id, releases[1], server.URL+"/b/k?sig="+urlSecret, nil, "", nil)
	if status != http.StatusPreconditionFailed || err == nil || !strings.Contains(err.Error(), "412: the key exists") || strings.Contains(err.Error(), urlSecret) {
		t.Errorf("%d %v", status, err)
	}
}

// A storage may quote the URL of the request in any form, or the beginning of it alone.
func TestRefusedUploadsQuoteNoSignature(t *testing.T) {
	t.Parallel()
	const query = "X-Amz-Credential=AKID%2Fx&X-Amz-Expires=60&X-Amz-Security-Token=FwoGZXIv&X-Amz-Signature=0123abcd"
	for _, body := range []string{
		"cannot PUT /b/k?" + query,
		"<html>cannot PUT /b/k?" + strings.ReplaceAll(query, "&", "&amp;") + "</html>",
		"<Error><Code>Odd</Code><Message>no such signature: /b/k?" + strings.ReplaceAll(query, "&", "&amp;") + "</Message></Error>",
		"cannot PUT /b/k?" + query[:len(query)-2],
		"cannot PUT %2Fb%2Fk%3F" + url.QueryEscape(query),
	} {
		exec := func(context.Context, []string, string, time.Duration) (engine.Output, error) {
			result, _ := json.Marshal(map[string]any{"status": 400, "body": body})
			return engine.Output{Stdout: "FLYDEPLOY1 result " + string(result) + "\nFLYDEPLOY1 end\n"}, nil
		}
		_, err := UploadTarball.Send(t.Context(), exec, "01A", "/app", "https://bucket.example/b/k?"+query, nil, "", nil)
		if err == nil || !strings.Contains(err.Error(), "answered 400") {
			t.Fatalf("got %v", err)
		}
		for _, secret := range []string{"AKID", "FwoG", "0123"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", secret, err)
			}
		}
	}
}
