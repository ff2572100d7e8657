package agent

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/elixir"
	"flydeploy/engine"
)

// longOrder is as long as orders get: every field set, a long presigned URL, two root certificates.
func longOrder() Order {
	source, _ := SourceHash() // embedded
	return Order{
		ID: NewID("01JCXXXXXXXXXXXXXXXXXXXXXX"), SHA256: strings.Repeat("a", 64), Size: 1 << 30, OTPApp: "a_long_application_name",
		TarballURL:     "https://fly.storage.tigris.dev/bucket/releases/app-1.0.0.tar.gz?X-Amz-Signature=" + strings.Repeat("f", 1500),
		AgentURL:       "https://fly.storage.tigris.dev/bucket/releases/app-agent-0123456789ab.beams?X-Amz-Signature=" + strings.Repeat("f", 1500),
		ReportURL:      "https://fly.storage.tigris.dev/bucket/app-results/01J/9080e6f3a12987.report.json.gz?X-Amz-Signature=" + strings.Repeat("e", 1500),
		Agent:          engine.CompiledAgent{SHA256: strings.Repeat("a", 64), Size: 1 << 20, OTP: "27", Elixir: "1.18.3", Source: source},
		Owner:          "somebody@example.com on a machine with a long name",
		CACerts:        strings.Repeat("-----BEGIN CERTIFICATE-----\n"+strings.Repeat("QUFB", 450)+"\n-----END CERTIFICATE-----\n", 2),
		SuspendTimeout: time.Second, MigrationTimeout: time.Second, MaxSuspend: time.Second, SkipBusy: true, StagedFor: time.Hour, ArmedFor: time.Hour, TerminalFor: time.Hour,
		SignedBy: strings.Repeat("a", 16),
	}
}

func TestEveryRequestIsSmallEnough(t *testing.T) {
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	vm := VM{PID: "4194304", Start: "18446744073709551615", Root: "/app", Name: "app"}
	requests := []request{injection(vm, b, longOrder())}
	form := url.Values{"url": {strings.Repeat("x", 2000)}, "sha256": {strings.Repeat("x", 64)}, "-X-Amz-Meta-Sha256": {strings.Repeat("x", 64)}}
	for _, j := range []job{{name: "tarball"}, {name: "agent", form: form}, {name: "upload_agent", works: "upload", form: form}} {
		j.dir, j.root, j.app = jobDir(longOrder().ID), "/app", "a_long_application_name"
		r, err := j.request()
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, r)
	}
	for i, r := range requests {
		size := r.size()
		t.Logf("request %d: %d bytes", i+1, size)
		if size >= maxRequest {
			t.Errorf("request %d takes %d bytes", i+1, size)
		}
	}
}

func TestEveryAgentModuleIsSentOnce(t *testing.T) {
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	sent := inflate(t, b.File)
	files, err := elixir.Files.ReadDir("agent")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(elixir.Agent) {
		t.Errorf("%d files are embedded, %d are listed", len(files), len(elixir.Agent))
	}
	if n := len(defmodule.FindAllString(sent, -1)); b.modules != len(files) || n != len(files) {
		t.Errorf("%d modules are sent, %d of the agent, and %d exist", n, b.modules, len(files))
	}
	if namespace.MatchString(sent) {
		t.Error("a module name is sent without the source's hash")
	}
}

// What is sent must be the audited source, line for line: without documentation and types both are read as the same. That it compiles to
// the same code as well is TestTheCompiledAgentIsTheSource, a soak.
func TestWhatIsSentIsTheSource(t *testing.T) {
	t.Parallel()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sent := strings.Split(inflate(t, b.File), fileMark)[1:]
	for i, name := range elixir.Agent {
		sources, _, err := readSources([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		title, body, _ := strings.Cut(sent[i], "\n")
		if title != name {
			t.Fatalf("%s is sent as %s", name, title)
		}
		for kind, text := range map[string]string{"source": namespace.ReplaceAllString(sources[0], b.Agent), "sent": body} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.%s", i, kind)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const program = `
		unread? = &match?({:@, _, [{name, _, _}]} when name in [:moduledoc, :doc, :spec, :type, :typep], &1)
		read = fn file ->
		  file |> File.read!() |> Code.string_to_quoted!() |> Macro.postwalk(fn
		    {:__block__, meta, all} ->
		      case Enum.reject(all, unread?) do
		        [one] -> one
		        some -> {:__block__, meta, some}
		      end
		    {:sigil_w, _, [{:<<>>, _, [words]}, kind]} -> {:sigil_w, String.split(words), kind}
		    {name, meta, args} when is_list(meta) -> {name, Keyword.delete(meta, :indentation), args}
		    other -> other
		  end)
		end
		sources = Path.wildcard("*.source")
		IO.inspect({length(sources), for(file <- sources, read.(file) != read.(Path.rootname(file) <> ".sent"), do: file)})`
	cmd := exec.Command("elixir", "-e", program)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("{%d, []}\n", len(sent)); err != nil || string(out) != want {
		t.Errorf("files that differ: %v\n%s, want %s", err, out, want)
	}
}

// What machines load must be the audited source: the same code as its compilation, in the listed order, without a warning.
func TestTheCompiledAgentIsTheSource(t *testing.T) {
	if !soak() {
		t.Skip("a soak: TestWhatIsSentIsTheSource is its short cut")
	}
	t.Parallel()
	b, err := agentBundle()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "agent"), compiledBy(t, b).file, 0o600); err != nil {
		t.Fatal(err)
	}
	full, err := NamedSource()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "full.ex"), []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `
		full = for {module, beam} <- Code.compile_file("full.ex"), into: %{}, do: {module, :code.module_md5(beam)}
		{:flydeploy_agent, 1, agent, beams} = :erlang.binary_to_term(File.read!("agent"))
		compiled = for {module, beam} <- beams, into: %{}, do: {module, :code.module_md5(beam)}
		IO.inspect(for {module, md5} <- full, compiled[module] != md5, do: module)
		IO.inspect({agent, map_size(full) == map_size(compiled)})`
	cmd := exec.Command("elixir", "-e", program)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "[]\n{"+b.Agent+", true}\n" {
		t.Errorf("modules that differ, or warnings: %v\n%s", err, out)
	}
}

func inflate(t *testing.T, file []byte) string {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
