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
const maxRequest = 15_000

// maxSource bounds the encoded source in one request; the rest is the script and what it evaluates.
const maxSource = 11_300

// bundle is the agent's source as it is sent.
type bundle struct {
	hash  string // first 12 hex digits of the source's sha256; part of every module's name
	agent string // the agent's main module
	parts []part
}

// part is the source of some modules: zlib, then base64.
type part struct {
	source  string
	modules int // that it defines
}

// modules counts the agent's modules.
func (b bundle) modules() int {
	n := 0
	for _, p := range b.parts {
		n += p.modules
	}
	return n
}

var (
	namespace = regexp.MustCompile(`\bFlyDeployAgent\b`)
	defmodule = regexp.MustCompile(`(?m)^defmodule (\S+) do`)
)

// agentBundle renames the modules so that their names carry the source's hash: two versions of flydeploy never share
// code in a VM.
var agentBundle = sync.OnceValues(func() (bundle, error) {
	sources, hash, err := readSources(append([]string{"bootstrap.exs"}, elixir.Agent...))
	if err != nil {
		return bundle{}, err
	}
	b := bundle{hash: hash, agent: "FlyDeployAgent_" + hash}
	renamed := make([]string, 0, len(sources))
	for _, s := range sources[1:] {
		renamed = append(renamed, namespace.ReplaceAllString(strip(s), b.agent))
	}
	b.parts, err = pack(renamed)
	return b, err
})

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

// What only people and tools read: documentation, types, comments and indentation. It would take two more requests.
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

// pack puts as many modules as fit into each part, keeping their order.
func pack(sources []string) ([]part, error) {
	var parts []part
	var text string
	for _, s := range sources {
		if text != "" && len(encode(text+s)) > maxSource {
			parts = append(parts, newPart(text))
			text = ""
		}
		text += s + "\n"
		if n := len(encode(text)); n > maxSource {
			return nil, fmt.Errorf("one module of the agent takes %d bytes encoded, more than %d", n, maxSource)
		}
	}
	return append(parts, newPart(text)), nil
}

func newPart(text string) part {
	return part{source: encode(text), modules: len(defmodule.FindAllString(text, -1))}
}

// encode compresses text with zlib and gives base64, which needs no quoting in a shell or an Elixir string.
func encode(text string) string {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression) // fails for an invalid level only
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
