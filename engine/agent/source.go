package agent

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"flydeploy/elixir"
)

// maxRequest bounds one exec request, JSON included, in bytes. Beyond about 16 KB the Machines API answers 200 with
// exit code 0 and a rejection in the output.
const maxRequest = 12_000

// Source is the agent's source, as a temporary machine downloads and compiles it.
type Source struct {
	Hash  string // SourceHash's; part of every module's name
	Agent string // the agent's main module
	File  []byte // see elixir/orchestrator/agent_job.ex
}

// SHA256 is that of the file.
func (s Source) SHA256() string {
	sum := sha256.Sum256(s.File)
	return hex.EncodeToString(sum[:])
}

// AgentSource gives the source of this flydeploy's agent.
func AgentSource() (Source, error) {
	b, err := agentBundle()
	return b.Source, err
}

// bundle is a source whose modules are counted.
type bundle struct {
	Source
	modules int
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
	return namespace.ReplaceAllString(strings.Join(sources, "\n"), b.Agent), err
}

var agentBundle = sync.OnceValues(func() (bundle, error) {
	hash, err := sourceHash()
	if err != nil {
		return bundle{}, err
	}
	return newBundle(hash)
})

// newBundle makes the agent's bundle with a hash.
func newBundle(hash string) (bundle, error) {
	agent := "FlyDeployAgent_" + hash
	text, err := joined(elixir.Agent)
	if err != nil {
		return bundle{}, err
	}
	file := deflate(namespace.ReplaceAllString(text, agent))
	return bundle{Source{hash, agent, file}, len(defmodule.FindAllString(text, -1))}, nil
}

// jobSources gives what each job on the temporary machine runs, as scriptJob takes it.
var jobSources = sync.OnceValues(func() (map[string]string, error) {
	all := map[string]string{}
	for name, files := range elixir.Jobs {
		text, err := joined(files)
		if err != nil {
			return nil, err
		}
		all[name] = encode(text)
	}
	return all, nil
})

// joined gives files as one text, each after its name, stripped.
func joined(files []string) (string, error) {
	var text strings.Builder
	for _, name := range files {
		sources, _, err := readSources([]string{name})
		if err != nil {
			return "", err
		}
		text.WriteString(fileMark + name + "\n" + strip(sources[0]))
	}
	return text.String(), nil
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

// encode compresses text and gives base64, which needs no quoting in a shell or an Elixir string.
func encode(text string) string { return base64.StdEncoding.EncodeToString(deflate(text)) }

// deflate compresses text with zlib.
func deflate(text string) []byte {
	var b bytes.Buffer
	w := compressors.Get().(*zlib.Writer)
	defer compressors.Put(w)
	w.Reset(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}
