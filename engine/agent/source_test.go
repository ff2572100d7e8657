package agent

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/elixir"
)

// longOrder is as long as orders get: every field set, a long presigned URL, two root certificates.
func longOrder() Order {
	return Order{
		ID: NewID("01JCXXXXXXXXXXXXXXXXXXXXXX"), SHA256: strings.Repeat("a", 64), Size: 1 << 30, OTPApp: "a_long_application_name",
		TarballURL:     "https://fly.storage.tigris.dev/bucket/releases/app-1.0.0.tar.gz?X-Amz-Signature=" + strings.Repeat("f", 1500),
		Owner:          "somebody@example.com on a machine with a long name",
		CACerts:        strings.Repeat("-----BEGIN CERTIFICATE-----\n"+strings.Repeat("QUFB", 450)+"\n-----END CERTIFICATE-----\n", 2),
		SuspendTimeout: time.Second, StagedFor: time.Hour, ArmedFor: time.Hour, TerminalFor: time.Hour,
	}
}

func TestEveryRequestIsSmallEnough(t *testing.T) {
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	vm := VM{PID: "4194304", Start: "18446744073709551615", Root: "/app", Name: "app"}
	short := longOrder()
	short.CACerts = ""
	if n := len(requests(vm, b, short)); n > 4 {
		t.Errorf("an injection takes %d requests; the platform's burst is 3, and each beyond it waits a second", n)
	}
	for _, o := range []Order{longOrder(), short} {
		for i, r := range requests(vm, b, o) {
			size := r.size()
			t.Logf("request %d: %d bytes", i+1, size)
			if size >= maxRequest {
				t.Errorf("request %d takes %d bytes", i+1, size)
			}
		}
	}
}

func TestJobRequestIsSmallEnough(t *testing.T) {
	source, err := jobSource()
	if err != nil {
		t.Fatal(err)
	}
	form := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 3000)))
	if size := (request{shell(scriptJob, "/tmp/flydeploy-x", "upload", "/app", source, "app"), form}).size(); size >= maxRequest {
		t.Errorf("the request takes %d bytes", size)
	}
}

func TestEveryAgentModuleIsSentOnce(t *testing.T) {
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	var sent strings.Builder
	for _, p := range b.parts {
		sent.WriteString(decode(t, p.source))
	}
	files, err := elixir.Files.ReadDir("agent")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(elixir.Agent) {
		t.Errorf("%d files are embedded, %d are listed", len(files), len(elixir.Agent))
	}
	if n := len(defmodule.FindAllString(sent.String(), -1)); n != len(files) {
		t.Errorf("%d modules are sent, %d exist", n, len(files))
	}
	if namespace.MatchString(sent.String()) {
		t.Error("a module name is sent without the source's hash")
	}
}

// What is sent must be the audited source: the same code after compilation, in the listed order, without a warning.
func TestStrippedSourceCompilesToTheSameCode(t *testing.T) {
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	var sent strings.Builder
	for _, p := range b.parts {
		sent.WriteString(decode(t, p.source))
	}
	sources, _, err := readSources(elixir.Agent)
	if err != nil {
		t.Fatal(err)
	}
	full := namespace.ReplaceAllString(strings.Join(sources, "\n"), b.agent)
	dir := t.TempDir()
	for name, text := range map[string]string{"sent.ex": sent.String(), "full.ex": full} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const program = `
		code = fn file ->
		  for {module, beam} <- Code.compile_string(File.read!(file), "flydeploy"), into: %{} do
		    :code.purge(module)
		    :code.delete(module)
		    :code.purge(module)
		    {module, :code.module_md5(beam)}
		  end
		end
		{full, sent} = {code.("full.ex"), code.("sent.ex")}
		IO.inspect(for {module, md5} <- full, sent[module] != md5, do: module)
		IO.inspect(map_size(full) == map_size(sent))`
	cmd := exec.Command("elixir", "-e", program)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "[]\ntrue\n" {
		t.Errorf("modules that differ, or warnings: %v\n%s", err, out)
	}
}

func decode(t *testing.T, source string) string {
	t.Helper()
	compressed, err := base64.StdEncoding.DecodeString(source)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
