package agent

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"flydeploy/elixir"
)

// maxRequest bounds one exec request, JSON included, in bytes. Beyond about 16 KB the Machines API answers 200 with
// exit code 0 and a rejection in the output.
const maxRequest = 12_000

// maxPart bounds one part of the source in a request; the rest is the script.
const maxPart = 11_000

// bundle is source of the agent and of what packs releases, as it is sent to the temporary machine, which compiles it.
type bundle struct {
	hash    string   // first 12 hex digits of the agent's sha256; part of every module's name
	agent   string   // the agent's main module
	modules int      // of the agent
	parts   []string // zlib of all files, each after its name, then base64, cut
}

var (
	namespace = regexp.MustCompile(`\bFlyDeployAgent\b`)
	defmodule = regexp.MustCompile(`(?m)^defmodule (\S+) do`)
)

// SourceHash tells one agent from another: the first 12 hex digits of the sha256 of what Sources gives. Every module of the agent has it
// in its name, so that two versions of flydeploy never share code in a VM.
func SourceHash() (string, error) { return sourceHash() }

var sourceHash = sync.OnceValues(func() (string, error) {
	_, hash, err := readSources(Sources())
	return hash, err
})

// Sources gives the names of the files that run in a VM, in order.
func Sources() []string { return append([]string{"bootstrap.exs"}, elixir.Agent...) }

// NamedSource gives the agent's source under the names that its modules have in VMs.
func NamedSource() (string, error) {
	b, err := agentBundle()
	if err != nil {
		return "", err
	}
	sources, _, err := readSources(elixir.Agent)
	return namespace.ReplaceAllString(strings.Join(sources, "\n"), b.agent), err
}

var agentBundle = sync.OnceValues(func() (bundle, error) { return bundleOf(elixir.Agent) })

// orchestratorBundle is what packs and uploads a release, without the agent.
var orchestratorBundle = sync.OnceValues(func() (bundle, error) { return bundleOf(elixir.OrchestratorCalls) })

func bundleOf(files []string) (bundle, error) {
	hash, err := sourceHash()
	if err != nil {
		return bundle{}, err
	}
	return newBundle(hash, files)
}

// newBundle makes a bundle of some of the agent's files, and of the orchestrator.
func newBundle(hash string, files []string) (bundle, error) {
	b := bundle{hash: hash, agent: "FlyDeployAgent_" + hash}
	var text strings.Builder
	for i, name := range slices.Concat(files, elixir.Orchestrator) {
		sources, _, err := readSources([]string{name})
		if err != nil {
			return bundle{}, err
		}
		if i < len(files) {
			b.modules += len(defmodule.FindAllString(sources[0], -1))
		}
		text.WriteString(fileMark + name + "\n" + namespace.ReplaceAllString(strip(sources[0]), b.agent))
	}
	for part := range slices.Chunk([]byte(encode(text.String())), maxPart) {
		b.parts = append(b.parts, string(part))
	}
	return b, nil
}

// fileMark stands in front of each file's name.
const fileMark = "\f"

func readSources(names []string) (sources []string, hash string, err error) {
	sum := sha256.New()
	for _, name := range names {
		text, err := elixir.Files.ReadFile(name)
		if err != nil {
			return nil, "", fmt.Errorf("reading the embedded %s: %w", name, err)
		}
		sum.Write(text)
		sources = append(sources, string(text))
	}
	return sources, hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// What only people and tools read: documentation, types, comments and indentation. It would take more requests.
var (
	docText = regexp.MustCompile(`(?ms)^ *@(?:module)?doc """\n.*?\n *"""$`)
	docLine = regexp.MustCompile(`(?m)^ *@doc ".*"$`)
	typeDef = regexp.MustCompile(`(?m)^  @(?:spec|type|typep) .*\n(?:   .*\n)*`)
	comment = regexp.MustCompile(`(?m)^ *#.*$`)
	indent  = regexp.MustCompile(`(?m)^ +`)
)

// strip empties the lines that nothing needs in a VM. All lines stay, so that stacks name the lines of the source.
func strip(source string) string {
	lines := func(text string) string { return strings.Repeat("\n", strings.Count(text, "\n")) }
	source = docText.ReplaceAllStringFunc(source, lines)
	source = typeDef.ReplaceAllStringFunc(source, lines)
	for _, expr := range []*regexp.Regexp{docLine, comment, indent} {
		source = expr.ReplaceAllString(source, "")
	}
	return source
}

// compressors are kept: each takes a megabyte, and every machine's order is compressed.
var compressors = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(nil, zlib.BestCompression) // fails for an invalid level only
	return w
}}

// encode compresses text with zlib and gives base64, which needs no quoting in a shell or an Elixir string.
func encode(text string) string {
	var b bytes.Buffer
	w := compressors.Get().(*zlib.Writer)
	defer compressors.Put(w)
	w.Reset(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
